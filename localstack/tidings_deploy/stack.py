"""Brings a CloudFormation stack up, and takes it down.

CloudFormation's own verdict is not all: a resource may be there and not work. So afterwards everything that has a state
of its own is asked for it, and whatever did not come up is named.
"""

import hashlib
import json
import time
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

from . import Failure

# Names of buckets are shared by everybody.
BUCKET = "{stack}-functions-{account}-{region}"
TEMPLATE_BYTES_MAX = 51_200
# For a function or an event source to become active after the stack is complete.
ACTIVE_WITHIN_S = 120
POLL_S = 1
WAIT = {"Delay": 2, "MaxAttempts": 900}


class Stack:
    """A stack with this name at the endpoint that AWS_ENDPOINT_URL names, or on AWS."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._session = boto3.Session()
        if self._session.region_name is None:
            raise Failure("say in which region: set AWS_REGION")
        self._cloudformation = self._client("cloudformation")
        self._lambda = self._client("lambda")
        # Where buckets are no host names, as at most endpoints that are not AWS, they are in the path.
        style = "path" if self._cloudformation.meta.endpoint_url.startswith("http://") else "auto"
        self._s3 = self._client("s3", s3={"addressing_style": style})
        self._account = self._client("sts").get_caller_identity()["Account"]

    def _client(self, service: str, **config):
        retries = {"mode": "standard", "max_attempts": 5}
        return self._session.client(service, config=Config(retries=retries, read_timeout=120, **config))

    @property
    def endpoint(self) -> str:
        return self._cloudformation.meta.endpoint_url

    def status(self) -> str | None:
        """What CloudFormation calls the stack's state; none if there is no such stack."""
        try:
            return self._describe()["StackStatus"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def outputs(self) -> dict[str, str]:
        return {output["OutputKey"]: output["OutputValue"] for output in self._describe().get("Outputs", [])}

    def parameters(self) -> set[str]:
        """Names of the parameters that the stack has values for."""
        return {parameter["ParameterKey"] for parameter in self._describe().get("Parameters", [])}

    def deploy(self, template: dict, zips: dict[str, Path], parameters: dict[str, str]) -> int:
        """Makes the stack be as the template says, and tells how many resources that changes."""
        status = self.status()
        if status in ("ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"):
            # What is left of a stack that never was: it can only be made anew.
            self._delete()
            status = None
        kept = self.parameters() if status else set()
        body = json.dumps(self._packaged(template, zips), separators=(",", ":"))
        if len(body.encode()) > TEMPLATE_BYTES_MAX:
            raise Failure(f"the packaged template has more than {TEMPLATE_BYTES_MAX} bytes")
        known = template.get("Parameters", {})
        change_set = self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=f"deploy-{int(time.time() * 1000)}",
            ChangeSetType="UPDATE" if status else "CREATE",
            TemplateBody=body,
            Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]
            + [
                {"ParameterKey": name, "UsePreviousValue": True}
                for name in sorted(kept - parameters.keys())
                if name in known
            ],
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )["Id"]
        if not self._is_change(change_set):
            self._cloudformation.delete_change_set(ChangeSetName=change_set, StackName=self.name)
            return 0
        # None, and yet to be executed: outputs may change alone, and LocalStack never says that nothing does.
        paginator = self._cloudformation.get_paginator("describe_change_set")
        pages = paginator.paginate(ChangeSetName=change_set, StackName=self.name)
        changes = sum(len(page["Changes"]) for page in pages)
        started = time.time()
        self._cloudformation.execute_change_set(ChangeSetName=change_set, StackName=self.name)
        waiter = self._cloudformation.get_waiter("stack_update_complete" if status else "stack_create_complete")
        try:
            waiter.wait(StackName=self.name, WaiterConfig=WAIT)
        except WaiterError as error:
            raise Failure(self._what_failed(started, error)) from None
        return changes

    def check(self) -> list[str]:
        """Waits until functions and event sources are active; gives what did not come up, one line each."""
        resources = self._resources()
        wrong = {
            resource["LogicalResourceId"]: f"{resource['ResourceStatus']} {resource.get('ResourceStatusReason', '')}"
            for resource in resources
            if not resource["ResourceStatus"].endswith("_COMPLETE")
        }
        deadline = time.time() + ACTIVE_WITHIN_S
        for resource in resources:
            while state := self._inactive(resource):
                if time.time() > deadline:
                    wrong[resource["LogicalResourceId"]] = state
                    break
                time.sleep(POLL_S)
        kinds = {resource["LogicalResourceId"]: resource["ResourceType"] for resource in resources}
        return [f"{name} ({kinds[name]}): {state}" for name, state in sorted(wrong.items())]

    def remove(self) -> list[str]:
        """Deletes the stack and the bucket of its code; gives what is kept on purpose, as the template says."""
        if self.status() is None:
            self._remove_bucket()
            return []
        before = self._resources()
        self._delete()
        self._remove_bucket()
        return [
            resource["PhysicalResourceId"]
            for resource in before
            if resource["ResourceType"] == "AWS::DynamoDB::Table" and self._has_table(resource["PhysicalResourceId"])
        ]

    def delete_tables(self, names: list[str]) -> None:
        for name in names:
            self._client("dynamodb").delete_table(TableName=name)

    def _describe(self) -> dict:
        return self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]

    def _resources(self) -> list[dict]:
        pages = self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=self.name)
        return [resource for page in pages for resource in page["StackResourceSummaries"]]

    def _bucket(self) -> str:
        return BUCKET.format(stack=self.name.lower(), account=self._account, region=self._session.region_name)

    def _packaged(self, template: dict, zips: dict[str, Path]) -> dict:
        """The template with each function's code where CloudFormation finds it."""
        bucket = self._make_bucket()
        resources = dict(template["Resources"])
        for logical_id, path in zips.items():
            code = path.read_bytes()
            # The same code has the same name, so a function that did not change is not touched.
            key = f"{hashlib.sha256(code).hexdigest()}.zip"
            if not self._has_object(bucket, key):
                self._s3.put_object(Bucket=bucket, Key=key, Body=code)
            properties = resources[logical_id]["Properties"] | {"CodeUri": {"Bucket": bucket, "Key": key}}
            resources[logical_id] = {
                name: value for name, value in resources[logical_id].items() if name != "Metadata"
            } | {"Properties": properties}
        return template | {"Resources": resources}

    def _make_bucket(self) -> str:
        bucket, region = self._bucket(), self._session.region_name
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            self._s3.create_bucket(Bucket=bucket, **where)
        except self._s3.exceptions.BucketAlreadyOwnedByYou:
            pass
        return bucket

    def _has_object(self, bucket: str, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return False
            raise
        return True

    def _is_change(self, change_set: str) -> bool:
        """Waits for the change set; false if it would change nothing."""
        waiter = self._cloudformation.get_waiter("change_set_create_complete")
        try:
            waiter.wait(ChangeSetName=change_set, StackName=self.name, WaiterConfig=WAIT)
        except WaiterError:
            described = self._cloudformation.describe_change_set(ChangeSetName=change_set, StackName=self.name)
            reason = described.get("StatusReason", "")
            if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                return False
            raise Failure(f"CloudFormation refuses the template: {reason}") from None
        return True

    def _what_failed(self, since_s: float, error: WaiterError) -> str:
        """Every resource that failed, and why, in the order in which it happened."""
        pages = self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=self.name)
        failed = [
            f"{event['LogicalResourceId']} ({event['ResourceType']}): {event['ResourceStatus']}: "
            f"{event.get('ResourceStatusReason', 'no reason given')}"
            for page in pages
            for event in page["StackEvents"]
            if event["ResourceStatus"].endswith("_FAILED") and event["Timestamp"].timestamp() >= since_s - 5
        ]
        lines = failed[::-1] or [str(error)]
        return f"the stack {self.name} did not come up, it is {self.status()}:\n  " + "\n  ".join(lines)

    def _inactive(self, resource: dict) -> str | None:
        """What a function or an event source is, as long as it is not active."""
        name = resource.get("PhysicalResourceId", "")
        match resource["ResourceType"]:
            case "AWS::Lambda::Function":
                function = self._lambda.get_function_configuration(FunctionName=name)
                settled = function.get("LastUpdateStatus", "Successful") == "Successful"
                if function["State"] != "Active" or not settled:
                    return f"{function['State']} {function.get('StateReason', '')}".strip()
            case "AWS::Lambda::EventSourceMapping":
                state = self._lambda.get_event_source_mapping(UUID=name)["State"]
                return None if state == "Enabled" else state
        return None

    def _delete(self) -> None:
        started = time.time()
        self._cloudformation.delete_stack(StackName=self.name)
        try:
            self._cloudformation.get_waiter("stack_delete_complete").wait(StackName=self.name, WaiterConfig=WAIT)
        except WaiterError as error:
            raise Failure(self._what_failed(started, error)) from None

    def _remove_bucket(self) -> None:
        bucket = self._bucket()
        try:
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                for entry in page.get("Contents", []):
                    self._s3.delete_object(Bucket=bucket, Key=entry["Key"])
            self._s3.delete_bucket(Bucket=bucket)
        except self._s3.exceptions.NoSuchBucket:
            pass

    def _has_table(self, name: str) -> bool:
        dynamodb = self._client("dynamodb")
        try:
            return dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] != "DELETING"
        except dynamodb.exceptions.ResourceNotFoundException:
            return False
