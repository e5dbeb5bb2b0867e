"""What LocalStack needs to run Tidings without Docker and without downloads.

`executor` runs functions as processes, behind the Lambda Runtime API of `runtime_api`, where LocalStack would start
containers. `dynamodb` has it start the DynamoDB server of Tidings' local stack, where it would download Amazon's. All
else is LocalStack as it is.
"""
