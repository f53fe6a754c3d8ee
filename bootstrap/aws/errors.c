/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/errors.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "aws/xml.h"
#include "base/string.h"

#define AGAIN      ERRORS_AGAIN
#define THROTTLING (ERRORS_AGAIN | ERRORS_THROTTLING)

static const ErrorsRow table[] = {
        /* AWS is slow, or has a temporary fault */
        { "RequestLimitExceeded", ERROR_RETRY, THROTTLING },
        { "RequestThrottled", ERROR_RETRY, THROTTLING },
        { "RequestThrottledException", ERROR_RETRY, THROTTLING },
        { "SlowDown", ERROR_RETRY, THROTTLING },
        { "Throttling", ERROR_RETRY, THROTTLING },
        { "ThrottlingException", ERROR_RETRY, THROTTLING },
        { "ThrottledException", ERROR_RETRY, THROTTLING },
        { "TooManyRequestsException", ERROR_RETRY, THROTTLING },
        { "EC2ThrottledException", ERROR_RETRY, THROTTLING },
        { "BandwidthLimitExceeded", ERROR_RETRY, THROTTLING },
        { "KMS.ThrottlingException", ERROR_RETRY, THROTTLING },
        { "KMS.KMSInternalException", ERROR_RETRY, AGAIN },
        { "KMS.KeyUnavailableException", ERROR_RETRY, AGAIN },
        { "KMS.DependencyTimeoutException", ERROR_RETRY, AGAIN },
        { "InternalError", ERROR_RETRY, AGAIN },
        { "InternalFailure", ERROR_RETRY, AGAIN },
        { "InternalServerError", ERROR_RETRY, AGAIN },
        { "ServiceUnavailable", ERROR_RETRY, AGAIN },
        { "Unavailable", ERROR_RETRY, AGAIN },
        { "RequestTimeout", ERROR_RETRY, AGAIN },
        { "RequestTimeoutException", ERROR_RETRY, AGAIN },
        { "PriorRequestNotComplete", ERROR_RETRY, AGAIN },
        { "OperationAborted", ERROR_RETRY, AGAIN },
        { "ConditionalRequestConflict", ERROR_RETRY, AGAIN },

        /* something else must change first, and may: the step retries at its own pace */
        { "VolumeInUse", ERROR_RETRY, 0 },
        { "IncorrectState", ERROR_RETRY, 0 },
        { "IncorrectInstanceState", ERROR_RETRY, 0 },
        { "InvalidInstanceID", ERROR_RETRY, 0 }, /* "is not in a valid state": still pending */
        { "Resource.AlreadyAssociated", ERROR_RETRY, 0 },
        { "PendingVerification", ERROR_RETRY, 0 },
        /* ids that AWS gave to this instance: EC2 is eventually consistent */
        { "InvalidInstanceID.NotFound", ERROR_RETRY, 0 },
        { "InvalidNetworkInterfaceID.NotFound", ERROR_RETRY, 0 },

        /* keys and clock */
        { "ExpiredToken", ERROR_RETRY, ERRORS_EXPIRED | ERRORS_KEYS },
        { "ExpiredTokenException", ERROR_RETRY, ERRORS_EXPIRED | ERRORS_KEYS },
        { "TokenRefreshRequired", ERROR_RETRY, ERRORS_EXPIRED | ERRORS_KEYS },
        { "RequestExpired", ERROR_RETRY, ERRORS_EXPIRED | ERRORS_SKEW | ERRORS_KEYS },
        { "RequestTimeTooSkewed", ERROR_RETRY, ERRORS_SKEW | ERRORS_KEYS },
        { "RequestInTheFuture", ERROR_RETRY, ERRORS_SKEW | ERRORS_KEYS },
        { "SignatureDoesNotMatch", ERROR_DENIED, ERRORS_SKEW | ERRORS_KEYS },
        { "InvalidSignatureException", ERROR_DENIED, ERRORS_SKEW | ERRORS_KEYS },
        { "AuthFailure", ERROR_DENIED, ERRORS_EXPIRED | ERRORS_SKEW | ERRORS_KEYS },
        { "InvalidToken", ERROR_DENIED, ERRORS_EXPIRED | ERRORS_KEYS },
        { "InvalidAccessKeyId", ERROR_DENIED, ERRORS_EXPIRED | ERRORS_KEYS },
        { "InvalidClientTokenId", ERROR_DENIED, ERRORS_EXPIRED | ERRORS_KEYS },
        { "UnrecognizedClientException", ERROR_DENIED, ERRORS_EXPIRED | ERRORS_KEYS },
        { "MissingAuthenticationToken", ERROR_DENIED, ERRORS_KEYS },

        /* not allowed */
        { "UnauthorizedOperation", ERROR_DENIED, 0 },
        { "AccessDenied", ERROR_DENIED, 0 },
        { "AccessDeniedException", ERROR_DENIED, 0 },
        { "AllAccessDisabled", ERROR_DENIED, 0 },
        { "AccountProblem", ERROR_DENIED, 0 },
        { "Blocked", ERROR_DENIED, 0 },
        { "OptInRequired", ERROR_DENIED, 0 },
        { "NotSignedUp", ERROR_DENIED, 0 },
        { "InvalidPayer", ERROR_DENIED, 0 },
        { "CustomerKeyHasBeenRevoked", ERROR_DENIED, ERRORS_KMS }, /* from EC2, for an attachment */
        { "KMS.AccessDeniedException", ERROR_DENIED, ERRORS_KMS },
        { "KMSAccessDeniedException", ERROR_DENIED, ERRORS_KMS },

        /* stack-config.sh or the stack names something that does not exist or cannot be */
        { "InvalidVolume.ZoneMismatch", ERROR_CONFIG, 0 },
        { "InvalidVolumeID.ZoneMismatch", ERROR_CONFIG, 0 },
        { "InvalidParameterValue", ERROR_CONFIG, 0 },
        { "ValidationError", ERROR_CONFIG, 0 }, /* CloudFormation's */
        { "InvalidParameterCombination", ERROR_CONFIG, 0 },
        { "InvalidIPAddress.InUse", ERROR_CONFIG, 0 },
        { "InvalidZone.NotFound", ERROR_CONFIG, 0 },
        { "OperationNotPermitted", ERROR_CONFIG, 0 },
        { "UnsupportedOperation", ERROR_CONFIG, 0 },
        { "NoSuchBucket", ERROR_CONFIG, ERRORS_MAY_APPEAR },
        { "InvalidVolume.NotFound", ERROR_CONFIG, ERRORS_MAY_APPEAR },
        { "InvalidVolumeID.NotFound", ERROR_CONFIG, ERRORS_MAY_APPEAR },
        { "InvalidAllocationID.NotFound", ERROR_CONFIG, ERRORS_MAY_APPEAR },
        { "InvalidBucketName", ERROR_CONFIG, 0 },
        { "IllegalLocationConstraintException", ERROR_CONFIG, 0 },
        { "AuthorizationHeaderMalformed", ERROR_CONFIG, 0 },
        { "PermanentRedirect", ERROR_CONFIG, 0 },
        { "TemporaryRedirect", ERROR_RETRY, 0 },
        { "InvalidObjectState", ERROR_CONFIG, 0 },
        { "KMS.DisabledException", ERROR_CONFIG, 0 },
        { "KMS.NotFoundException", ERROR_CONFIG, 0 },
        { "KMS.KMSInvalidStateException", ERROR_CONFIG, 0 },
        { "KMS.InvalidKeyUsageException", ERROR_CONFIG, 0 },
        { "InvalidKmsKey.InvalidState", ERROR_CONFIG, 0 },

        /* answers to conditional requests and look-ups, which callers handle themselves */
        { "NoSuchKey", ERROR_FATAL, 0 },
        { "PreconditionFailed", ERROR_FATAL, 0 },
};

const ErrorsRow *errors_table(size_t *ret_n)
{
        *ret_n = ELEMENTS(table);
        return table;
}

static const ErrorsRow *errors_find(const char *aws_code)
{
        FOREACH_ARRAY(row, table, ELEMENTS(table)) {
                if (streq_ptr(row->aws_code, aws_code)) {
                        return row;
                }
        }
        return NULL;
}

static unsigned flags(const char *aws_code)
{
        const ErrorsRow *row = errors_find(aws_code);
        return row ? row->flags : 0;
}

static bool status_is_passing(int status)
{
        return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
               status == 504;
}

ErrorClass errors_classify(int http_status, const char *aws_code)
{
        const ErrorsRow *row = errors_find(aws_code);
        if (row) {
                return row->class;
        }
        if (!isempty(aws_code) &&
            (string_ends_with(aws_code, ".NotFound") || string_ends_with(aws_code, ".Malformed") ||
             string_ends_with(aws_code, "LimitExceeded"))) {
                return ERROR_CONFIG;
        }
        if (status_is_passing(http_status) || http_status == 409) {
                return ERROR_RETRY;
        }
        if (http_status == 401 || http_status == 403 || http_status == 407) {
                return ERROR_DENIED;
        }
        /* a redirect that was not followed: the endpoint is not the service's */
        return http_status >= 300 && http_status < 400 ? ERROR_CONFIG : ERROR_FATAL;
}

bool errors_is_passing(int http_status, const char *aws_code)
{
        const ErrorsRow *row = errors_find(aws_code);
        if (row && row->class != ERROR_RETRY) {
                return false;
        }
        return (row && (row->flags & AGAIN)) || status_is_passing(http_status);
}

bool errors_is_expired_credentials(const char *aws_code)
{
        return flags(aws_code) & ERRORS_EXPIRED;
}

bool errors_is_clock_skew(const char *aws_code)
{
        return flags(aws_code) & ERRORS_SKEW;
}

bool errors_is_throttling(int http_status, const char *aws_code)
{
        return http_status == 429 || (flags(aws_code) & ERRORS_THROTTLING);
}

bool errors_may_appear(const char *aws_code)
{
        return flags(aws_code) & ERRORS_MAY_APPEAR;
}

/* Copies foreign text for a message: one line of printable text, cut after max characters. */
static void excerpt(const char *text, size_t max, char *ret, size_t size)
{
        size_t n = 0;
        bool gap = false;
        for (const char *p = text; *p && n < max && n + 5 < size; p++) {
                unsigned char c = (unsigned char) *p;
                if (c <= ' ' || c == 0x7f) {
                        gap = n > 0;
                        continue;
                }
                if (gap) {
                        ret[n++] = ' ';
                }
                ret[n++] = (char) c;
                gap = false;
        }
        const char *end = n >= max ? "..." : "";
        memcpy(ret + n, end, strlen(end) + 1);
}

/* Reads code, message and request id, as far as the reply has them. */
static void read_envelope(const HttpReply *reply, Error *err, char *message, size_t size)
{
        _cleanup_xml_ XmlNode *root = NULL;
        const char *body = strempty(reply->body.data);
        const char *id = NULL;
        message[0] = '\0';
        if (reply->body.size > 0 && xml_parse(body, reply->body.size, &root, ERROR_IGNORED) == 0) {
                bool flat = streq(root->name, "Error"); /* S3's */
                bool ec2 = streq(root->name, "Response");
                const char *path = ec2 ? "Errors/Error" : "Error";
                const XmlNode *error = flat ? root : xml_find(root, path);
                excerpt(xml_text(error, "Code"), ERROR_CODE_MAX, err->aws_code,
                        sizeof(err->aws_code));
                const char *text = xml_text(error, "Message");
                const char *encoded = strstr(text, " Encoded authorization failure message:");
                _cleanup_free_ char *cut =
                        encoded ? strndup(text, (size_t) (encoded - text)) : NULL;
                excerpt(cut ? cut : text, 400, message, size);
                id = xml_text(root, ec2 ? "RequestID" : "RequestId");
        } else {
                excerpt(body, 120, message, size);
        }
        if (isempty(id)) {
                id = http_reply_header(reply, "x-amz-request-id");
        }
        if (isempty(id)) {
                id = http_reply_header(reply, "x-amzn-requestid");
        }
        excerpt(strempty(id), ERROR_REQUEST_ID_MAX, err->request_id, sizeof(err->request_id));
}

/* Copies the action from AWS's message: "… is not authorized to perform: kms:GenerateDataKey on
 * resource: …". If there is none, it is "service:operation". */
static void denied_action(const char *message, const char *service, const char *operation,
                          char *ret, size_t size)
{
        static const char before[] = "not authorized to perform: ";
        const char *p = strstr(message, before);
        size_t n = p ? strcspn(p + strlen(before), " ,.;\"'") : 0;
        if (n > 2 && n < size && memchr(p + strlen(before), ':', n)) {
                (void) snprintf(ret, size, "%.*s", (int) n, p + strlen(before));
        } else {
                (void) snprintf(ret, size, "%s:%s", service, operation);
        }
}

/* Copies the reason that AWS gives ("… because no VPC endpoint policy allows …", "… with an
 * explicit deny in a service control policy …") and returns true. Returns false if AWS gives none,
 * or if the role's own policy does not allow the action. */
static bool other_reason(const char *message, char *ret, size_t size)
{
        static const char none[] = "because no ";
        const char *deny = strstr(message, "with an explicit deny");
        const char *lacks = strstr(message, none);
        if (!deny && (!lacks || string_starts_with(lacks + strlen(none), "identity-based"))) {
                return false;
        }
        const char *from = deny ? deny : lacks;
        const char *allows = deny ? NULL : strstr(from, " allows");
        size_t n = allows ? (size_t) (allows - from) + strlen(" allows") : strcspn(from, ".;,:");
        (void) snprintf(ret, size, "%.*s%s", (int) n, from, allows ? " it" : "");
        return true;
}

/* Returns the action that the role needs on the key by which the volume or the object is encrypted.
 * https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html#ebs-encryption-permissions
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html#require-sse-kms */
static const char *kms_action(const char *service, const char *operation)
{
        if (streq(service, "ec2")) {
                return "kms:CreateGrant";
        }
        return streq(operation, "PutObject") ? "kms:GenerateDataKey and kms:Decrypt"
                                             : "kms:Decrypt";
}

static int error_number(ErrorClass class)
{
        switch (class) {
        case ERROR_DENIED:
                return EACCES;
        case ERROR_CONFIG:
                return EINVAL;
        case ERROR_RETRY:
                return EAGAIN;
        default:
                return EREMOTEIO;
        }
}

int errors_from_reply(const HttpReply *reply, const char *service, const char *operation,
                      const char *resource, Error *err)
{
        Error ids = {};
        char message[512], action[128], where[320], said[640];
        read_envelope(reply, &ids, message, sizeof(message));

        ErrorClass class = errors_classify(reply->status, ids.aws_code);
        const char *on = isempty(resource) ? "" : " on ";
        (void) snprintf(where, sizeof(where), "%s%.300s", on, strempty(resource));
        if (ids.aws_code[0]) {
                (void) snprintf(said, sizeof(said), "%s: %s", ids.aws_code, message);
        } else {
                (void) snprintf(said, sizeof(said), "HTTP status %d%s%s", reply->status,
                                message[0] ? ": " : "", message);
        }

        int r;
        char reason[160];
        bool is_keys = flags(ids.aws_code) & ERRORS_KEYS;
        if (class == ERROR_DENIED && (flags(ids.aws_code) & ERRORS_KMS)) {
                r = error_set(err, class, error_number(class),
                              "denied: the instance's role needs %s on the KMS key of %.300s, and "
                              "the key must be enabled, for %s:%s (%s)",
                              kms_action(service, operation), resource ? resource : "it", service,
                              operation, said);
        } else if (class == ERROR_DENIED && !is_keys &&
                   other_reason(message, reason, sizeof(reason))) {
                denied_action(message, service, operation, action, sizeof(action));
                r = error_set(err, class, error_number(class), "denied %s: %s%s (%s)", reason,
                              action, where, said);
        } else if (class == ERROR_DENIED && !is_keys) {
                denied_action(message, service, operation, action, sizeof(action));
                r = error_set(err, class, error_number(class),
                              "denied: the instance's role needs %s%s (%s)", action, where, said);
        } else if (class == ERROR_DENIED) {
                r = error_set(err, class, error_number(class),
                              "%s:%s%s: AWS does not accept the credentials (%s)", service,
                              operation, where, said);
        } else {
                r = error_set(err, class, error_number(class), "%s:%s%s: %s", service, operation,
                              where, said);
        }
        err->source = ERROR_FROM_AWS;
        err->http_status = reply->status;
        memcpy(err->aws_code, ids.aws_code, sizeof(err->aws_code));
        memcpy(err->request_id, ids.request_id, sizeof(err->request_id));
        return r;
}
