/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/sts.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "aws/errors.h"
#include "aws/xml.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/time.h"

#define SERVICE   "sts"
#define OPERATION "GetCallerIdentity"
#define BODY      "Action=" OPERATION "&Version=2011-06-15"
#define TYPE      "application/x-www-form-urlencoded; charset=utf-8"

#define HEADER_CLUSTER "X-Kube-Bootstrap-Cluster"
#define HEADER_REQUEST "X-Kube-Bootstrap-Request"

/* All that is signed, in the order of SigV4. */
#define SIGNED_HEADERS                                       \
        "content-type;host;x-amz-date;x-amz-security-token;" \
        "x-kube-bootstrap-cluster;x-kube-bootstrap-request"

/* AWS takes a request within five minutes of its time:
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html */
#define FRESH_S 240

#define REPLY_MAX ((size_t) 64 << 10)

static HttpHeader header(const char *name, const char *value)
{
        /* in a request, HttpHeader only points to the caller's strings */
        return (HttpHeader) { (char *) (uintptr_t) name, (char *) (uintptr_t) value };
}

/* The call that is signed: the same for the prover and the verifier. */
#define CLAIM_HEADERS 3

static AwsCall sts_make_call(const char *url, const StsClaim *claim,
                             HttpHeader headers[CLAIM_HEADERS])
{
        headers[0] = header("Content-Type", TYPE);
        headers[1] = header(HEADER_CLUSTER, claim->cluster_id);
        headers[2] = header(HEADER_REQUEST, claim->request_sha256);
        return (AwsCall) {
                .service = SERVICE,
                .operation = OPERATION,
                .method = "POST",
                .url = url,
                .headers = headers,
                .n_headers = CLAIM_HEADERS,
                .body = BODY,
                .body_size = strlen(BODY),
                .reply_max = REPLY_MAX,
        };
}

static int make_url(const AwsClient *client, char ret[ENDPOINT_MAX + 1], Error *err)
{
        Endpoint endpoint;
        int r = aws_client_endpoint(client, SERVICE, NULL, &endpoint, err);
        if (r >= 0) {
                (void) snprintf(ret, ENDPOINT_MAX + 1, "%s/", endpoint.url);
        }
        return r;
}

int sts_prove(AwsClient *client, const StsClaim *claim, const Wait *wait, Buffer *ret, Error *err)
{
        char url[ENDPOINT_MAX + 1];
        HttpHeader headers[CLAIM_HEADERS];
        _cleanup_aws_keys_ AwsKeys keys = {};
        _cleanup_sigv4_result_ Sigv4Result signature = {};
        int r = make_url(client, url, err);
        if (r < 0) {
                return r;
        }
        const AwsCall call = sts_make_call(url, claim, headers);
        r = aws_client_sign(client, &call, wait, &keys, &signature, err);
        if (r < 0) {
                return r;
        }
        const char *mark = "Signature=", *found = strstr(signature.authorization, mark);
        json_auto_t *proof = json_pack("{s:i, s:s, s:s, s:s, s:s}", "schema", 1, "key",
                                       keys.access_key_id, "date", signature.amz_date, "signature",
                                       found ? found + strlen(mark) : "", "token",
                                       strempty(keys.session_token.data));
        r = json_write(proof, JSON_COMPACT | JSON_PRESERVE_ORDER, ret, err);
        return r < 0 ? r : 0;
}

static bool copy_member(const json_t *root, const char *name, const char *characters, char *ret,
                        size_t size)
{
        const char *text = json_string_value(json_object_get(root, name));
        size_t n = text ? strlen(text) : 0;
        if (n == 0 || n >= size || strspn(text, characters) != n) {
                return false;
        }
        memcpy(ret, text, n + 1);
        return true;
}

#define DIGITS  "0123456789"
#define CAPITAL "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define SMALL   "abcdefghijklmnopqrstuvwxyz"

/* Reads "20260203T040506Z", and nothing else. */
static bool read_date(const char *text, time_t *ret)
{
        struct tm tm = {};
        char again[TIME_TEXT_MAX];
        if (sscanf(text, "%4d%2d%2dT%2d%2d%2dZ", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
                   &tm.tm_min, &tm.tm_sec) != 6) {
                return false;
        }
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        *ret = timegm(&tm);
        time_format_basic(*ret, again);
        return streq(again, text);
}

int sts_proof_parse(const char *text, size_t n, StsProof *ret, Error *err)
{
        StsProof proof = {};
        json_auto_t *root =
                n <= STS_PROOF_BYTES_MAX ? json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL) : NULL;
        if (json_object_size(root) != 5 ||
            json_integer_value(json_object_get(root, "schema")) != 1 ||
            !copy_member(root, "key", CAPITAL DIGITS, proof.access_key_id,
                         sizeof(proof.access_key_id)) ||
            !copy_member(root, "date", DIGITS "TZ", proof.date, sizeof(proof.date)) ||
            !copy_member(root, "signature", DIGITS "abcdef", proof.signature,
                         sizeof(proof.signature)) ||
            !copy_member(root, "token", CAPITAL SMALL DIGITS "+/=-_.", proof.session_token,
                         sizeof(proof.session_token)) ||
            strlen(proof.signature) != sizeof(proof.signature) - 1 ||
            !read_date(proof.date, &proof.when)) {
                return error_set(err, ERROR_FATAL, EBADMSG, "the proof of identity is malformed");
        }
        *ret = proof;
        return 0;
}

bool sts_proof_is_fresh(const StsProof *proof, time_t now)
{
        return proof->when <= now + FRESH_S && proof->when >= now - FRESH_S;
}

/* Copies the text up to the separator, which must follow. Returns what comes after it, or NULL. */
static const char *take_part(const char *text, char separator, char *ret, size_t size)
{
        const char *end = separator ? strchr(text, separator) : text + strlen(text);
        if (!end || end == text || (size_t) (end - text) >= size) {
                return NULL;
        }
        memcpy(ret, text, (size_t) (end - text));
        ret[end - text] = '\0';
        return separator ? end + 1 : end;
}

static bool read_arn(const char *arn, StsCaller *ret)
{
        char word[32];
        const char *p = take_part(arn, ':', word, sizeof(word));
        p = p && streq(word, "arn") ? take_part(p, ':', word, sizeof(word)) : NULL; /* partition */
        p = p ? take_part(p, ':', word, sizeof(word)) : NULL;
        if (!p || !streq(word, SERVICE) || *p != ':') {
                return false;
        }
        p = take_part(p + 1, ':', ret->account, sizeof(ret->account));
        p = p ? take_part(p, '/', word, sizeof(word)) : NULL;
        p = p && streq(word, "assumed-role") ? take_part(p, '/', ret->role, sizeof(ret->role))
                                             : NULL;
        return p && take_part(p, '\0', ret->session, sizeof(ret->session)) &&
               !strchr(ret->session, '/');
}

static int read_caller(const HttpReply *reply, StsCaller *ret, char why[STS_REASON_MAX], Error *err)
{
        _cleanup_xml_ XmlNode *root = NULL;
        StsCaller caller = {};
        int r = xml_parse(reply->body.data, reply->body.size, &root, err);
        if (r < 0) {
                return error_prefix(err, SERVICE ":" OPERATION);
        }
        const char *arn = xml_text(root, OPERATION "Result/Arn");
        if (!streq(root->name, OPERATION "Response") || !*arn) {
                return error_set(err, ERROR_RETRY, EBADMSG,
                                 SERVICE ":" OPERATION ": the reply names nobody");
        }
        if (!read_arn(arn, &caller)) {
                (void) snprintf(why, STS_REASON_MAX, "%.100s is no role of an instance", arn);
                return 0;
        }
        *ret = caller;
        return 1;
}

/* The codes by which STS says that the proof does not hold:
 * https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html */
static const char *const refusals[] = {
        "SignatureDoesNotMatch", "InvalidClientTokenId",       "ExpiredToken",
        "IncompleteSignature",   "MissingAuthenticationToken", "RequestExpired",
};

static bool is_refusal(const char *aws_code)
{
        FOREACH_ARRAY(code, refusals, ELEMENTS(refusals)) {
                if (streq(*code, aws_code)) {
                        return true;
                }
        }
        return false;
}

/* Judges a reply. What else than such a refusal is said is about us, and no answer. */
static int judge_status(const HttpReply *reply, StsCaller *ret, char why[STS_REASON_MAX],
                        Error *err)
{
        if (reply->status == 200) {
                return read_caller(reply, ret, why, err);
        }
        Error said = {};
        (void) errors_from_reply(reply, SERVICE, OPERATION, NULL, &said);
        if (!is_refusal(said.aws_code)) {
                *err = said;
                err->class = ERROR_RETRY;
                return said.error ? -said.error : -EIO;
        }
        (void) snprintf(why, STS_REASON_MAX, "STS refuses the proof: %.100s", said.aws_code);
        return 0;
}

int sts_check(AwsClient *client, const StsProof *proof, const StsClaim *claim, const Wait *wait,
              StsCaller *ret, char ret_why[STS_REASON_MAX], Error *err)
{
        char url[ENDPOINT_MAX + 1];
        HttpHeader headers[CLAIM_HEADERS + 4];
        int r = make_url(client, url, err);
        if (r < 0) {
                return r;
        }
        AwsCall call = sts_make_call(url, claim, headers);
        _cleanup_free_ char *authorization = string_format(
                "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/" SERVICE
                "/aws4_request, SignedHeaders=" SIGNED_HEADERS ", Signature=%s",
                proof->access_key_id, proof->date, aws_client_region(client), proof->signature);
        _cleanup_free_ char *host = strndup(strstr(url, "://") + 3, strlen(url));
        if (!authorization || !host) {
                return error_oom(err);
        }
        host[strcspn(host, "/")] = '\0';
        headers[call.n_headers++] = header("Host", host);
        headers[call.n_headers++] = header("X-Amz-Date", proof->date);
        headers[call.n_headers++] = header("X-Amz-Security-Token", proof->session_token);
        headers[call.n_headers++] = header("Authorization", authorization);
        _cleanup_http_reply_ HttpReply reply = {};
        r = aws_client_forward(client, &call, wait, &reply, err);
        return r < 0 ? error_prefix(err, SERVICE ":" OPERATION)
                     : judge_status(&reply, ret, ret_why, err);
}
