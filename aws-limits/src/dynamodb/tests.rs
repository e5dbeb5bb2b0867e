use super::*;

fn tables(limits: &Limits) -> DynamoDb {
    let commands = Schema { partition: "PK".to_owned(), sort: Some("SK".to_owned()), indexes: Vec::new() };
    let hottest = ("hottest".to_owned(), "bucket".to_owned(), "score".to_owned());
    let cards = Schema { partition: "PK".to_owned(), sort: None, indexes: vec![hottest] };
    DynamoDb::new(limits, BTreeMap::from([("Commands".to_owned(), commands), ("Cards".to_owned(), cards)]))
}

fn put(key: &str) -> Value {
    json!({"TableName": "Commands", "Item": {"PK": {"S": key}, "SK": {"S": "-"}}})
}

/// Admits and charges a request with these units; the kind of refusal if it is refused.
fn run(
    tables: &mut DynamoDb,
    now: Duration,
    operation: &str,
    request: &Value,
    before: Option<Value>,
    units: f64,
) -> Result<(), String> {
    let table = request["TableName"].clone();
    let admitted = tables.admit(now, operation, &mut request.clone(), &[before]).map_err(|refusal| refusal.what)?;
    tables.charge(now, &admitted, Some(&json!({"TableName": table, "Table": {"CapacityUnits": units}})));
    Ok(())
}

#[test]
fn an_item_takes_1000_writes_a_second_and_a_larger_one_fewer() {
    for (units, limit) in [(1.0, 1000), (4.0, 250)] {
        let mut tables = tables(&Limits::new_account());
        let mut done = 0;
        for try_number in 0..20_000 {
            let now = Duration::from_micros(try_number * 500);
            done += u32::from(run(&mut tables, now, "PutItem", &put("hot"), None, units).is_ok());
        }
        // Ten seconds, and the second of a full bucket.
        assert!((limit * 11 - 10..=limit * 11 + 10).contains(&done), "{units}: {done}");
    }
}

#[test]
fn a_throttled_request_is_refused_as_on_aws() {
    let mut tables = tables(&Limits::new_account());
    run(&mut tables, Duration::ZERO, "PutItem", &put("hot"), None, 1000.0).unwrap();
    let refusal = tables.admit(Duration::ZERO, "PutItem", &mut put("hot"), &[]).unwrap_err();
    assert_eq!((refusal.status, refusal.what.as_str()), (400, "Commands writes, partition"));
    assert_eq!(refusal.body["__type"], "com.amazon.coral.availability#ThrottlingException");
    assert_eq!(refusal.body["throttlingReasons"][0]["reason"], "TableWriteKeyRangeThroughputExceeded");
}

#[test]
fn a_transaction_costs_double_and_names_the_item_that_is_throttled() {
    let mut tables = tables(&Limits::new_account());
    let action = |key: &str| json!({"Put": put(key)});
    let mut request = json!({"TransactItems": [action("a"), action("hot")]});
    // A transaction that fails is charged, too.
    let admitted = tables.admit(Duration::ZERO, "TransactWriteItems", &mut request, &[]).unwrap();
    tables.charge(Duration::ZERO, &admitted, None);
    assert_eq!(tables.usage().iter().find(|usage| usage.name == "Commands").unwrap().write_units, 4.0);
    run(&mut tables, Duration::ZERO, "PutItem", &put("hot"), None, 1000.0).unwrap();
    let refusal = tables.admit(Duration::ZERO, "TransactWriteItems", &mut request, &[]).unwrap_err();
    let codes: Vec<_> = refusal.body["CancellationReasons"].as_array().unwrap().iter().map(|it| &it["Code"]).collect();
    assert_eq!(codes[1], "ThrottlingError");
}

#[test]
fn an_index_that_takes_no_more_refuses_writes_of_its_table() {
    let mut tables = tables(&Limits::new_account());
    let update = |post: u32, score: u32| {
        json!({
            "TableName": "Cards", "Key": {"PK": {"S": format!("POST#{post}")}},
            "UpdateExpression": "SET #b = :bucket, score = :score, tallies = if_not_exists(tallies, :none) REMOVE x",
            "ExpressionAttributeNames": {"#b": "bucket"},
            "ExpressionAttributeValues": {":bucket": {"S": "now"}, ":score": {"N": score.to_string()}},
        })
    };
    let before = |score: u32| json!({"bucket": {"S": "now"}, "score": {"N": score.to_string()}});
    let mut done = 0;
    let mut refused = String::new();
    for number in 0..4000_u32 {
        let now = Duration::from_micros(u64::from(number) * 250);
        match run(&mut tables, now, "UpdateItem", &update(number, number + 1), Some(before(number)), 1.0) {
            Ok(()) => done += 1,
            Err(what) => refused = what,
        }
    }
    // A changed score is a delete and a put in the same partition of the index: 500 a second, after a full bucket.
    assert!((990..=1010).contains(&done), "{done}");
    assert_eq!(refused, "Cards/hottest writes, partition");
    // An update that changes nothing of the index passes.
    let now = Duration::from_secs(1);
    assert!(run(&mut tables, now, "UpdateItem", &update(1, 7), Some(before(7)), 1.0).is_ok());
    let usage = tables.usage();
    let index = usage.iter().find(|usage| usage.name == "Cards/hottest").unwrap();
    assert!((index.write_units - 2.0 * f64::from(done)).abs() < 0.5, "{index:?}");
}

#[test]
fn what_a_batch_cannot_do_is_left() {
    let mut tables = tables(&Limits::new_account());
    run(&mut tables, Duration::ZERO, "PutItem", &put("hot"), None, 1000.0).unwrap();
    let entry = |key: &str| json!({"PutRequest": {"Item": put(key)["Item"]}});
    let mut request = json!({"RequestItems": {"Commands": [entry("hot"), entry("b")]}});
    // Whether `b` shares the partition of `hot` depends on its hash.
    let other = ["b", "c", "d", "e", "f"]
        .into_iter()
        .find(|key| tables.admit(Duration::ZERO, "PutItem", &mut put(key), &[]).is_ok());
    request["RequestItems"]["Commands"][1] = entry(other.unwrap());
    let admitted = tables.admit(Duration::ZERO, "BatchWriteItem", &mut request, &[]).unwrap();
    assert!(admitted.is_partial());
    assert_eq!(request["RequestItems"]["Commands"].as_array().unwrap().len(), 1);
    let mut answer = json!({});
    admitted.merge(&mut answer);
    assert_eq!(answer["UnprocessedItems"]["Commands"], json!([entry("hot")]));
    let mut partial = json!({"UnprocessedItems": {"Commands": [entry("z")]}});
    admitted.merge(&mut partial);
    assert_eq!(partial["UnprocessedItems"]["Commands"], json!([entry("z"), entry("hot")]));

    let mut all_hot = json!({"RequestItems": {"Commands": [entry("hot")]}});
    let refusal = tables.admit(Duration::ZERO, "BatchWriteItem", &mut all_hot, &[]).unwrap_err();
    assert_eq!(refusal.what, "Commands writes, partition");
}

#[test]
fn keys_that_a_batch_cannot_read_are_left() {
    let mut tables = tables(&Limits::new_account());
    let key = |key: &str| json!({"PK": {"S": key}, "SK": {"S": "-"}});
    let get = |name: &str| json!({"TableName": "Commands", "Key": key(name), "ConsistentRead": true});
    run(&mut tables, Duration::ZERO, "GetItem", &get("hot"), None, 3000.0).unwrap();
    let other = ["b", "c", "d", "e", "f"]
        .into_iter()
        .find(|name| tables.admit(Duration::ZERO, "GetItem", &mut get(name), &[]).is_ok());
    let keys = json!([key("hot"), key(other.unwrap())]);
    let mut request = json!({"RequestItems": {"Commands": {"Keys": keys, "ConsistentRead": true}}});
    let admitted = tables.admit(Duration::ZERO, "BatchGetItem", &mut request, &[]).unwrap();
    let mut partial = json!({"UnprocessedKeys": {"Commands": {"Keys": [key("z")]}}});
    admitted.merge(&mut partial);
    assert_eq!(partial["UnprocessedKeys"]["Commands"]["Keys"], json!([key("z"), key("hot")]));
    let mut answer = json!({"UnprocessedKeys": {}});
    admitted.merge(&mut answer);
    assert_eq!(answer["UnprocessedKeys"]["Commands"], json!({"Keys": [key("hot")], "ConsistentRead": true}));
}

#[test]
fn a_query_is_charged_to_its_partition() {
    let mut tables = tables(&Limits::new_account());
    let query = json!({
        "TableName": "Commands", "KeyConditionExpression": "PK = :pk AND SK < :sk",
        "ExpressionAttributeValues": {":pk": {"S": "USER#a"}, ":sk": {"S": "z"}},
    });
    run(&mut tables, Duration::ZERO, "Query", &query, None, 3000.0).unwrap();
    let get = json!({"TableName": "Commands", "Key": {"PK": {"S": "USER#a"}, "SK": {"S": "-"}}});
    let refused = run(&mut tables, Duration::ZERO, "GetItem", &get, None, 1.0);
    assert_eq!(refused, Err("Commands reads, partition of USER".to_owned()));
}

#[test]
fn other_tables_pass() {
    let mut tables = tables(&Limits::new_account());
    let request = json!({"TableName": "Other", "Key": {"PK": {"S": "a"}}});
    for _ in 0..5000 {
        run(&mut tables, Duration::ZERO, "GetItem", &request, None, 100.0).unwrap();
    }
}
