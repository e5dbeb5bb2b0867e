"""What LocalStack needs to run Tidings without Docker and without downloads.

`executor` runs functions as processes behind the Lambda Runtime API of `runtime_api`; LocalStack itself would start
containers. `dynamodb` starts the DynamoDB server of Tidings' local stack; LocalStack itself would download Amazon's.
Everything else is LocalStack unchanged.
"""
