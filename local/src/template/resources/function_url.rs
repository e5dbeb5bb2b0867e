//! `AWS::Lambda::Url`.

use super::{
    super::{
        error::{Result, TemplateError},
        model::FunctionUrl,
        physical,
        properties::Properties,
    },
    api,
};

pub(super) fn read(mut open: Properties<'_>) -> Result<FunctionUrl> {
    let function = physical::function(open.require("TargetFunctionArn")?.text("TargetFunctionArn")?).to_owned();
    // All aliases of a function are the same here.
    open.take("Qualifier");
    let at = open.at();
    if open.one_of("AuthType", &["NONE"])?.is_none() {
        return Err(TemplateError::new(at, "AWS::Lambda::Url needs `AuthType`"));
    }
    open.one_of("InvokeMode", &["BUFFERED"])?;
    let cors = open.nested("Cors")?.map(api::read_cors).transpose()?;
    open.finish()?;
    Ok(FunctionUrl { function, cors })
}
