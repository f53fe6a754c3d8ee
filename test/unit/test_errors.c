/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/errors.h"

#include <ctype.h>

#include "harness.h"

static HttpReply make_reply(int status, const char *body)
{
        HttpReply reply = { .status = status };
        if (buffer_append_string(&reply.body, body) < 0) {
                abort();
        }
        return reply;
}

static void test_table(void)
{
        size_t n;
        const ErrorsRow *table = errors_table(&n);
        CHECK(n > 50);
        FOREACH_ARRAY(row, table, n) {
                CHECK(row->class >= 0 && row->class < _ERROR_CLASS_MAX);
                CHECK(!isempty(row->aws_code) && strlen(row->aws_code) < ERROR_CODE_MAX);
                for (const char *p = row->aws_code; *p; p++) {
                        CHECK(isalnum((unsigned char) *p) || *p == '.');
                }
                for (const ErrorsRow *other = row + 1; other < table + n; other++) {
                        if (streq(row->aws_code, other->aws_code)) {
                                test_fail(__FILE__, __LINE__, "%s is there twice", row->aws_code);
                        }
                }
                /* The flags and the functions agree, and what is repeated may be retried. */
                CHECK_INT(errors_classify(400, row->aws_code), row->class);
                CHECK_INT(errors_classify(503, row->aws_code), row->class);
                CHECK_INT(errors_is_clock_skew(row->aws_code), (row->flags & ERRORS_SKEW) != 0);
                CHECK_INT(errors_is_expired_credentials(row->aws_code),
                          (row->flags & ERRORS_EXPIRED) != 0);
                CHECK_INT(errors_is_throttling(400, row->aws_code),
                          (row->flags & ERRORS_THROTTLING) != 0);
                CHECK_INT(errors_is_passing(400, row->aws_code), (row->flags & ERRORS_AGAIN) != 0);
                CHECK(!(row->flags & ERRORS_AGAIN) || row->class == ERROR_RETRY);
                CHECK(!(row->flags & ERRORS_THROTTLING) || (row->flags & ERRORS_AGAIN));
                CHECK(row->class == ERROR_RETRY || !errors_is_passing(503, row->aws_code));
        }
}

static void test_classes(void)
{
        static const struct {
                int status;
                const char *code;
                ErrorClass class;
                bool passing;
        } cases[] = {
                { 400, "VolumeInUse", ERROR_RETRY, false },
                { 400, "IncorrectState", ERROR_RETRY, false },
                { 400, "IncorrectInstanceState", ERROR_RETRY, false },
                { 400, "InvalidVolume.NotFound", ERROR_CONFIG, false },
                { 400, "InvalidVolume.ZoneMismatch", ERROR_CONFIG, false },
                { 400, "InvalidAllocationID.NotFound", ERROR_CONFIG, false },
                { 400, "CustomerKeyHasBeenRevoked", ERROR_DENIED, false },
                { 400, "KMS.AccessDeniedException", ERROR_DENIED, false },
                { 400, "InvalidVolumeID.Malformed", ERROR_CONFIG, false },
                { 400, "AttachmentLimitExceeded", ERROR_CONFIG, false },
                { 400, "RequestLimitExceeded", ERROR_RETRY, true }, /* before the suffix */
                { 400, "InvalidInstanceID.NotFound", ERROR_RETRY, false },
                { 403, "UnauthorizedOperation", ERROR_DENIED, false },
                { 403, "AccessDenied", ERROR_DENIED, false },
                { 403, "RequestTimeTooSkewed", ERROR_RETRY, false },
                { 404, "NoSuchBucket", ERROR_CONFIG, false },
                { 503, "SlowDown", ERROR_RETRY, true },
                { 409, "ConditionalRequestConflict", ERROR_RETRY, true },
                { 500, "", ERROR_RETRY, true },
                { 502, NULL, ERROR_RETRY, true },
                { 503, "SomethingNew", ERROR_RETRY, true },
                { 504, "", ERROR_RETRY, true },
                { 429, "", ERROR_RETRY, true },
                { 408, "", ERROR_RETRY, true },
                { 409, "", ERROR_RETRY, false },
                { 501, "NotImplemented", ERROR_FATAL, false },
                { 401, "", ERROR_DENIED, false },
                { 403, "", ERROR_DENIED, false },
                { 400, "SomethingNew", ERROR_FATAL, false },
                { 404, "", ERROR_FATAL, false },
                { 301, "", ERROR_CONFIG, false },
                { 400, "MissingParameter", ERROR_FATAL, false },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                CHECK_INT(errors_classify(c->status, c->code), c->class);
                CHECK_INT(errors_is_passing(c->status, c->code), c->passing);
        }
        CHECK(errors_is_throttling(429, ""));
        CHECK(!errors_is_throttling(503, ""));
        CHECK(!errors_is_clock_skew(NULL));
}

static void test_envelopes(void)
{
        static const struct {
                int status;
                const char *body;
                ErrorClass class;
                const char *code, *id, *message;
        } cases[] = {
                { 400,
                  "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>"
                  "VolumeInUse</Code><Message>vol-1 is already\n "
                  "attached</Message></Error></Errors>"
                  "<RequestID>id-1</RequestID></Response>",
                  ERROR_RETRY, "VolumeInUse", "id-1",
                  "svc:Op on what: VolumeInUse: vol-1 is already attached" },
                { 404,
                  "<Error><Code>NoSuchBucket</Code><Message>none</Message>"
                  "<RequestId>id-2</RequestId></Error>",
                  ERROR_CONFIG, "NoSuchBucket", "id-2", "svc:Op on what: NoSuchBucket: none" },
                { 403,
                  "<ErrorResponse xmlns='https://iam'><Error><Type>Sender</Type><Code>AccessDenied"
                  "</Code><Message>no</Message></Error><RequestId>id-3</RequestId></ErrorResponse>",
                  ERROR_DENIED, "AccessDenied", "id-3",
                  "denied: the instance's role needs svc:Op on what (AccessDenied: no)" },
                { 500, "<html><body>oops</body></html>", ERROR_RETRY, "", "",
                  "svc:Op on what: HTTP status 500" },
                { 502, "Bad\x1b[31m\r\n  Gateway\x07", ERROR_RETRY, "", "",
                  "svc:Op on what: HTTP status 502: Bad [31m Gateway" },
                { 403, "", ERROR_DENIED, "", "",
                  "denied: the instance's role needs svc:Op on what (HTTP status 403)" },
                { 500, "<Error><Code>Internal", ERROR_RETRY, "", "",
                  "svc:Op on what: HTTP status 500: <Error><Code>Internal" },
                { 401,
                  "<Response><Errors><Error><Code>AuthFailure</Code><Message>keys</Message></Error>"
                  "</Errors></Response>",
                  ERROR_DENIED, "AuthFailure", "",
                  "svc:Op on what: AWS does not accept the credentials (AuthFailure: keys)" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_http_reply_ HttpReply reply = make_reply(c->status, c->body);
                Error err = {};
                CHECK(errors_from_reply(&reply, "svc", "Op", "what", &err) < 0);
                CHECK_INT(err.class, c->class);
                CHECK_INT(err.http_status, c->status);
                CHECK_STR(err.aws_code, c->code);
                CHECK_STR(err.request_id, c->id);
                CHECK_STR(err.message, c->message);
                CHECK_INT(err.source, ERROR_FROM_AWS);
        }
}

/* The phrases of IAM's guide, "Troubleshoot access denied error messages". */
static void test_reasons(void)
{
        static const struct {
                const char *service, *operation, *code, *text, *message;
        } cases[] = {
                { "s3", "PutObject", "AccessDenied",
                  "because no VPC endpoint policy allows the s3:PutObject action",
                  "denied because no VPC endpoint policy allows it: s3:PutObject on it (" },
                { "s3", "PutObject", "AccessDenied",
                  "with an explicit deny in a service control policy",
                  "denied with an explicit deny in a service control policy: s3:PutObject on it" },
                { "ec2", "AttachVolume", "UnauthorizedOperation",
                  "because no permissions boundary allows the ec2:AttachVolume action",
                  "denied because no permissions boundary allows it: ec2:AttachVolume on it (" },
                { "s3", "GetObject", "AccessDenied",
                  "because no resource-based policy allows the kms:Decrypt action",
                  "denied because no resource-based policy allows it: " },
                { "s3", "GetObject", "AccessDenied",
                  "because no identity-based policy allows the s3:GetObject action",
                  "denied: the instance's role needs s3:GetObject on it (" },
                { "ec2", "AttachVolume", "CustomerKeyHasBeenRevoked",
                  "Volume vol-1 cannot be attached. The encrypted volume was unable to access the "
                  "KMS master key.",
                  "denied: the instance's role needs kms:CreateGrant on the KMS key of it, and the "
                  "key must be enabled, for ec2:AttachVolume (CustomerKeyHasBeenRevoked: Volume" },
                { "s3", "PutObject", "KMS.AccessDeniedException", "no",
                  "denied: the instance's role needs kms:GenerateDataKey and kms:Decrypt on the "
                  "KMS key of it" },
                { "s3", "GetObject", "KMS.AccessDeniedException", "no",
                  "denied: the instance's role needs kms:Decrypt on the KMS key of it" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                _cleanup_free_ char *body = string_format(
                        "<Error><Code>%s</Code><Message>User: u is not authorized to perform: "
                        "%s:%s on resource: r %s</Message></Error>",
                        c->code, c->service, c->operation, c->text);
                if (strncmp(c->text, "because", 7) != 0 && strncmp(c->text, "with", 4) != 0) {
                        free(body);
                        body = string_format("<Error><Code>%s</Code><Message>%s</Message></Error>",
                                             c->code, c->text);
                }
                REQUIRE(body);
                _cleanup_http_reply_ HttpReply reply = make_reply(403, body);
                CHECK(errors_from_reply(&reply, c->service, c->operation, "it", &err) < 0);
                CHECK_INT(err.class, ERROR_DENIED);
                CHECK(string_starts_with(err.message, c->message));
                CHECK_CONTAINS(err.message, c->message);
                CHECK_CONTAINS(err.message, c->text);
        }
}

static void test_messages(void)
{
        Error err = {};
        _cleanup_http_reply_ HttpReply encoded = make_reply(
                403, "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>You are "
                     "not authorized. Encoded authorization failure message: AQoDYXdzEPT0123456789"
                     "</Message></Error></Errors><RequestID>r</RequestID></Response>");
        CHECK(errors_from_reply(&encoded, "ec2", "AttachVolume", "vol-1", &err) < 0);
        CHECK_STR(err.message, "denied: the instance's role needs ec2:AttachVolume on vol-1 "
                               "(UnauthorizedOperation: You are not authorized.)");

        /* S3 denies, and says that it is KMS's matter. */
        _cleanup_http_reply_ HttpReply kms = make_reply(
                403,
                "<Error><Code>AccessDenied</Code><Message>User: arn:aws:sts::1:assumed-role/r is "
                "not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:k because "
                "no identity-based policy allows it</Message></Error>");
        CHECK(errors_from_reply(&kms, "s3", "PutObject", "s3://b/k", &err) < 0);
        CHECK_CONTAINS(err.message, "the instance's role needs kms:GenerateDataKey on s3://b/k");

        /* Long words of others are cut, and ids that do not fit do not overflow. */
        char text[6000] = "<Error><Code>";
        memset(text + strlen(text), 'C', 1000);
        strcat(text, "</Code><Message>");
        memset(text + strlen(text), 'm', 3000);
        strcat(text, "</Message><RequestId>");
        memset(text + strlen(text), 'i', 500);
        strcat(text, "</RequestId></Error>");
        _cleanup_http_reply_ HttpReply huge = make_reply(400, text);
        CHECK(errors_from_reply(&huge, "s3", "GetObject", "s3://b/k", &err) < 0);
        CHECK(strlen(err.message) < 600);
        CHECK(strlen(err.aws_code) < ERROR_CODE_MAX);
        CHECK(strlen(err.request_id) < ERROR_REQUEST_ID_MAX);

        char name[] = "x-amz-request-id", value[] = "from-a-header";
        HttpReply headed = { .status = 400, .headers[0] = { name, value }, .n_headers = 1 };
        CHECK(errors_from_reply(&headed, "s3", "GetObject", NULL, &err) < 0);
        CHECK_STR(err.request_id, "from-a-header");
        CHECK_STR(err.message, "s3:GetObject: HTTP status 400");
        CHECK(errors_from_reply(&headed, "s3", "GetObject", NULL, ERROR_IGNORED) < 0);
}

int main(void)
{
        test_case("each row of the table", test_table);
        test_case("classes by code, by suffix, by status", test_classes);
        test_case("the envelopes of EC2, S3 and IAM, and what is none", test_envelopes);
        test_case("AWS's own reason comes first, and KMS's action is named", test_reasons);
        test_case("messages name action and resource, and are bounded", test_messages);
        return test_done();
}
