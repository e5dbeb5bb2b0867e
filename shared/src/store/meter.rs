//! Measures the calls of DynamoDB and what they cost, as DynamoDB itself reports it. So a test can check the cost of a
//! request wherever the system runs.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{
            BeforeSerializationInterceptorContextMut, BeforeSerializationInterceptorContextRef,
            FinalizerInterceptorContextRef,
        },
    },
    error::BoxError,
    operation::{
        batch_get_item::{BatchGetItemInput, BatchGetItemOutput},
        batch_write_item::{BatchWriteItemInput, BatchWriteItemOutput},
        delete_item::{DeleteItemInput, DeleteItemOutput},
        get_item::{GetItemInput, GetItemOutput},
        query::{QueryInput, QueryOutput},
        scan::{ScanInput, ScanOutput},
        transact_write_items::{TransactWriteItemsInput, TransactWriteItemsOutput},
        update_item::{UpdateItemInput, UpdateItemOutput},
    },
    types::{ConsumedCapacity, ReturnConsumedCapacity},
};

/// The cost of all calls since a meter was reset.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// Calls that ran one after the other. Calls that overlap count as one.
    pub round_trips: u32,
    /// All calls.
    pub calls: u32,
    /// Read request units.
    pub read_units: f64,
    /// Write request units, including those of indexes.
    pub write_units: f64,
}

tokio::task_local! {
    /// Measures the calls of the present piece of work.
    static MEASURED: Meter;
}

/// Measures the calls of a client. A function with a route works on one request at a time, so its process needs one
/// meter. Where several pieces of work run at once, each has a meter of its own: [`Meter::measure`].
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Mutex<Count>>);

#[derive(Debug, Default)]
struct Count {
    under_way: u32,
    cost: Cost,
}

impl Meter {
    /// Resets the meter to zero.
    pub fn reset(&self) {
        self.with(|count| *count = Count::default());
    }

    /// The cost since the meter was reset.
    pub fn cost(&self) -> Cost {
        self.with(|count| count.cost)
    }

    /// Measures the calls of metered clients during this work, and nothing else.
    pub async fn measure<T>(&self, work: impl Future<Output = T>) -> T {
        MEASURED.scope(self.clone(), work).await
    }

    /// The meter that measures a call of the client of this meter.
    fn current(&self) -> Self {
        MEASURED.try_with(Self::clone).unwrap_or_else(|_| self.clone())
    }

    fn with<T>(&self, count: impl FnOnce(&mut Count) -> T) -> T {
        count(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn read_before_execution(
        &self,
        _context: &BeforeSerializationInterceptorContextRef<'_>,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.current().with(|count| {
            count.cost.calls += 1;
            count.cost.round_trips += u32::from(count.under_way == 0);
            count.under_way += 1;
        });
        Ok(())
    }

    fn modify_before_serialization(
        &self,
        context: &mut BeforeSerializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        macro_rules! ask_for_capacity {
            ($($input:ty),*) => {
                $(if let Some(input) = context.input_mut().downcast_mut::<$input>() {
                    input.return_consumed_capacity = Some(ReturnConsumedCapacity::Total);
                })*
            };
        }
        ask_for_capacity!(GetItemInput, QueryInput, BatchGetItemInput, ScanInput);
        ask_for_capacity!(UpdateItemInput, DeleteItemInput, BatchWriteItemInput, TransactWriteItemsInput);
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let (mut read, mut written) = (0.0, 0.0);
        if let Some(Ok(output)) = context.output_or_error() {
            macro_rules! add_capacity {
                ($units:ident, $($output:ty),*) => {
                    $(if let Some(output) = output.downcast_ref::<$output>() {
                        $units += output.consumed_capacity.as_ref().map_or(0.0, Capacity::units);
                    })*
                };
            }
            add_capacity!(read, GetItemOutput, QueryOutput, BatchGetItemOutput, ScanOutput);
            add_capacity!(written, UpdateItemOutput, DeleteItemOutput, BatchWriteItemOutput, TransactWriteItemsOutput);
        }
        self.current().with(|count| {
            count.under_way = count.under_way.saturating_sub(1);
            count.cost.read_units += read;
            count.cost.write_units += written;
        });
        Ok(())
    }
}

/// Some answers hold one sum. Answers about several tables hold one for each table.
trait Capacity {
    fn units(&self) -> f64;
}

impl Capacity for ConsumedCapacity {
    fn units(&self) -> f64 {
        self.capacity_units.unwrap_or_default()
    }
}

impl Capacity for Vec<ConsumedCapacity> {
    fn units(&self) -> f64 {
        self.iter().map(Capacity::units).sum()
    }
}
