"""Deploys a CloudFormation stack, and removes it.

A resource may exist and not work, even if CloudFormation reports success. So after a deployment, functions and event
sources are asked for their state, and each one that is not active is reported.
"""

import hashlib
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

from . import Failure

# Bucket names are unique among all AWS accounts.
BUCKET = "{stack}-functions-{account}-{region}"
# CloudFormation's limit for a template in a bucket.
TEMPLATE_BYTES_MAX = 1_000_000
# How long a function or an event source may take to become active after the stack is complete.
ACTIVE_WITHIN_S = 120
POLL_S = 1
WAIT = {"Delay": 2, "MaxAttempts": 900}


class Stack:
    """The stack with this name, at the endpoint in AWS_ENDPOINT_URL or on AWS."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._session = boto3.Session()
        if self._session.region_name is None:
            raise Failure("the region is unknown; set AWS_REGION")
        self._cloudformation = self._client("cloudformation")
        self._lambda = self._client("lambda")
        # At most endpoints that are not AWS, a bucket is no host name, so it must be in the path.
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
        """CloudFormation's name for the stack's state, or None if there is no such stack."""
        try:
            return self._describe()["StackStatus"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def outputs(self) -> dict[str, str]:
        return {output["OutputKey"]: output["OutputValue"] for output in self._describe().get("Outputs", [])}

    def parameters(self) -> set[str]:
        """The names of the parameters that have a value in the stack."""
        return {parameter["ParameterKey"] for parameter in self._describe().get("Parameters", [])}

    def deploy(
        self, template: dict, nested: dict[str, dict], zips: dict[str, Path], parameters: dict[str, str]
    ) -> int:
        """Deploys the template with its nested stacks. Returns how many resources changed."""
        status = self.status()
        if status in ("ROLLBACK_COMPLETE", "REVIEW_IN_PROGRESS"):
            # The creation of this stack failed. Such a stack cannot be updated, so it is deleted and created again.
            self._delete()
            status = None
        kept = self.parameters() if status else set()
        bucket = self._make_bucket()
        packaged = self._packaged(template, nested, zips, bucket)
        known = template.get("Parameters", {})
        change_set = self._cloudformation.create_change_set(
            StackName=self.name,
            ChangeSetName=f"deploy-{int(time.time() * 1000)}",
            ChangeSetType="UPDATE" if status else "CREATE",
            TemplateURL=self._uploaded(bucket, packaged),
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
        # A change set without changes is executed, too: outputs may change alone, and LocalStack always makes one.
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
        """Waits until functions and event sources are active. Returns one line for each that is not."""
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

    def invocations(self) -> dict[str, int]:
        """How often each function was invoked within the last hour, by its logical id. CloudWatch counts this."""
        cloudwatch, now = self._client("cloudwatch"), datetime.now(UTC)
        counts = {}
        for resource in self._resources():
            if resource["ResourceType"] == "AWS::Lambda::Function":
                points = cloudwatch.get_metric_statistics(
                    Namespace="AWS/Lambda",
                    MetricName="Invocations",
                    Dimensions=[{"Name": "FunctionName", "Value": resource["PhysicalResourceId"]}],
                    StartTime=now - timedelta(hours=1),
                    EndTime=now + timedelta(minutes=1),
                    Period=60,
                    Statistics=["Sum"],
                )["Datapoints"]
                counts[resource["LogicalResourceId"]] = round(sum(point["Sum"] for point in points))
        return counts

    def remove(self) -> list[str]:
        """Deletes the stack and the bucket with its code. Returns the tables that the template keeps."""
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
        dynamodb = self._client("dynamodb")
        for name in names:
            dynamodb.update_table(TableName=name, DeletionProtectionEnabled=False)
            dynamodb.get_waiter("table_exists").wait(TableName=name)
            dynamodb.delete_table(TableName=name)

    def _describe(self) -> dict:
        return self._cloudformation.describe_stacks(StackName=self.name)["Stacks"][0]

    def _resources(self, name: str | None = None) -> list[dict]:
        """The resources of this stack, or of the one with this name or id, and those of its nested stacks."""
        pages = self._cloudformation.get_paginator("list_stack_resources").paginate(StackName=name or self.name)
        listed = [resource for page in pages for resource in page["StackResourceSummaries"]]
        # CloudFormation may still list what an update has deleted.
        own = [resource for resource in listed if resource["ResourceStatus"] != "DELETE_COMPLETE"]
        nested = [resource.get("PhysicalResourceId") for resource in own if _is_nested(resource)]
        return own + [resource for id in nested if id for resource in self._resources(id)]

    def _bucket(self) -> str:
        return BUCKET.format(stack=self.name.lower(), account=self._account, region=self._session.region_name)

    def _packaged(self, template: dict, nested: dict[str, dict], zips: dict[str, Path], bucket: str) -> dict:
        """The template in which each function's code and each nested template is an object in the bucket."""
        resources = dict(template["Resources"])
        for logical_id, inner in nested.items():
            properties = resources[logical_id]["Properties"] | {"TemplateURL": self._uploaded(bucket, inner)}
            resources[logical_id] = resources[logical_id] | {"Properties": properties}
        for logical_id, path in zips.items():
            code = path.read_bytes()
            # The same code has the same key, so a function without changes is not updated.
            key = f"{hashlib.sha256(code).hexdigest()}.zip"
            if not self._has_object(bucket, key):
                self._s3.put_object(Bucket=bucket, Key=key, Body=code)
            properties = resources[logical_id]["Properties"] | {"CodeUri": {"Bucket": bucket, "Key": key}}
            resources[logical_id] = {
                name: value for name, value in resources[logical_id].items() if name != "Metadata"
            } | {"Properties": properties}
        return template | {"Resources": resources}

    def _uploaded(self, bucket: str, template: dict) -> str:
        """Puts a template into the bucket. Returns its URL. In a request, a template has at most 51 200 bytes."""
        body = json.dumps(template, separators=(",", ":")).encode()
        if len(body) > TEMPLATE_BYTES_MAX:
            raise Failure(f"a packaged template has more than {TEMPLATE_BYTES_MAX} bytes")
        key = f"{hashlib.sha256(body).hexdigest()}.template"
        self._s3.put_object(Bucket=bucket, Key=key, Body=body)
        endpoint = self._s3.meta.endpoint_url
        if endpoint.startswith("http://"):
            return f"{endpoint}/{bucket}/{key}"
        return f"https://{bucket}.s3.{self._session.region_name}.amazonaws.com/{key}"

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
        """Waits for the change set. Returns False if it would change nothing."""
        waiter = self._cloudformation.get_waiter("change_set_create_complete")
        try:
            waiter.wait(ChangeSetName=change_set, StackName=self.name, WaiterConfig=WAIT)
        except WaiterError:
            described = self._cloudformation.describe_change_set(ChangeSetName=change_set, StackName=self.name)
            reason = described.get("StatusReason", "")
            if "didn't contain changes" in reason or "No updates are to be performed" in reason:
                return False
            raise Failure(f"CloudFormation refused the template: {reason}") from None
        return True

    def _what_failed(self, since_s: float, error: WaiterError) -> str:
        """All resources that failed and the reasons, in the order of the failures."""
        lines = [
            f"{event['LogicalResourceId']} ({event['ResourceType']}): {event['ResourceStatus']}: "
            f"{event.get('ResourceStatusReason', 'no reason given')}"
            for event in self._failures(since_s, self.name)
        ] or [str(error)]
        return f"the deployment of the stack {self.name} failed; its state is {self.status()}:\n  " + "\n  ".join(lines)

    def _failures(self, since_s: float, name: str) -> list[dict]:
        """The failures of resources of a stack. Those within a nested stack come before that of the nested stack."""
        pages = self._cloudformation.get_paginator("describe_stack_events").paginate(StackName=name)
        failures = []
        for event in (event for page in pages for event in page["StackEvents"]):
            if not event["ResourceStatus"].endswith("_FAILED") or event["Timestamp"].timestamp() < since_s - 5:
                continue
            failures.append(event)
            # A stack's own events name the stack, too.
            id = event.get("PhysicalResourceId")
            if _is_nested(event) and id and id != event["StackId"]:
                failures += self._failures(since_s, id)[::-1]
        return failures[::-1]

    def _inactive(self, resource: dict) -> str | None:
        """The state of a function or an event source, or None if it is active."""
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


def _is_nested(resource: dict) -> bool:
    """Whether this resource of a stack is a stack itself. Its physical id is the id of that stack."""
    return resource["ResourceType"] == "AWS::CloudFormation::Stack"
