# SPDX-License-Identifier: Apache-2.0
"""The one call of STS that needs no permission.

https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from __future__ import annotations

from xml.sax.saxutils import escape

from .wire import Reply


def caller_identity(account: str, arn: str, user_id: str, request_id: str) -> Reply:
    body = ('<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
            f"<GetCallerIdentityResult><Arn>{escape(arn)}</Arn><UserId>{escape(user_id)}</UserId>"
            f"<Account>{escape(account)}</Account></GetCallerIdentityResult>"
            f"<ResponseMetadata><RequestId>{escape(request_id)}</RequestId></ResponseMetadata>"
            "</GetCallerIdentityResponse>")
    return Reply(200, body.encode(), "text/xml")
