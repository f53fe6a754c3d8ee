/* SPDX-License-Identifier: Apache-2.0 */
/* A proof of identity, as its text and as the request that STS gets. Real signatures are tried by
 * test_aws_region.c. */
#include "aws/sts.h"

#include <errno.h>

#include "ec2_world.h"

#define SHA       "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define SIGNATURE "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
#define WHEN      1770091506 /* 2026-02-03T04:05:06Z */
#define PROOF(key, date, signature, token)                                                   \
        "{\"schema\":1,\"key\":\"" key "\",\"date\":\"" date "\",\"signature\":\"" signature \
        "\",\"token\":\"" token "\"}"
#define GOOD PROOF("ASIAEXAMPLE2", "20260203T040506Z", SIGNATURE, "IQoJb3/+=")

static const StsClaim claim = { "cluster-1", SHA };

static StsProof good(void)
{
        StsProof proof = {};
        Error err = {};
        CHECK_OK(sts_proof_parse(GOOD, strlen(GOOD), &proof, &err), err);
        return proof;
}

static void test_text(void)
{
        StsProof proof = good();
        CHECK_STR(proof.access_key_id, "ASIAEXAMPLE2");
        CHECK_STR(proof.date, "20260203T040506Z");
        CHECK_STR(proof.signature, SIGNATURE);
        CHECK_STR(proof.session_token, "IQoJb3/+=");
        CHECK_INT(proof.when, WHEN);
}

/* Whatever could add a header, another scope or another host to the request is refused. */
static void test_other_texts(void)
{
        static const char *const texts[] = {
                "",
                "{}",
                "7",
                PROOF("", "20260203T040506Z", SIGNATURE, "a"),
                PROOF("ASIA/20260203/eu-west-1", "20260203T040506Z", SIGNATURE, "a"),
                PROOF("ASIA\\r\\nX: y", "20260203T040506Z", SIGNATURE, "a"),
                PROOF("asia", "20260203T040506Z", SIGNATURE, "a"),
                PROOF("ASIA", "20260203T040506", SIGNATURE, "a"),
                PROOF("ASIA", "20260203T040506Z0", SIGNATURE, "a"),
                PROOF("ASIA", "20261303T040506Z", SIGNATURE, "a"),
                PROOF("ASIA", "20260231T040506Z", SIGNATURE, "a"),
                PROOF("ASIA", "2026020304T0506Z", SIGNATURE, "a"),
                PROOF("ASIA", "20260203T040506Z", "5d67", "a"),
                PROOF("ASIA", "20260203T040506Z", "", "a"),
                PROOF("ASIA", "20260203T040506Z", SIGNATURE, ""),
                PROOF("ASIA", "20260203T040506Z", SIGNATURE, "a b"),
                PROOF("ASIA", "20260203T040506Z", SIGNATURE, "a\\r\\nHost: evil"),
                PROOF("ASIA", "20260203T040506Z", SIGNATURE, "a\\u0000b"),
                "{\"schema\":2,\"key\":\"ASIA\",\"date\":\"20260203T040506Z\",\"signature\":"
                "\"" SIGNATURE "\",\"token\":\"a\"}",
                "{\"schema\":1,\"key\":\"ASIA\",\"key\":\"ASIB\",\"date\":\"20260203T040506Z\","
                "\"signature\":\"" SIGNATURE "\",\"token\":\"a\"}",
                "{\"schema\":1,\"key\":\"ASIA\",\"date\":\"20260203T040506Z\",\"signature\":"
                "\"" SIGNATURE "\",\"token\":\"a\",\"url\":\"https://evil/\"}",
                GOOD " x",
        };
        FOREACH_ARRAY(text, texts, ELEMENTS(texts)) {
                StsProof proof = {};
                Error err = {};
                if (sts_proof_parse(*text, strlen(*text), &proof, &err) != -EBADMSG) {
                        test_fail(__FILE__, __LINE__, "taken: %s", *text);
                }
        }
        static char large[2 * STS_PROOF_BYTES_MAX];
        StsProof proof = {};
        Error err = {};
        (void) snprintf(large, sizeof(large), "%s%*s", GOOD, (int) STS_PROOF_BYTES_MAX, "");
        CHECK_INT(sts_proof_parse(large, strlen(large), &proof, &err), -EBADMSG);
}

static void test_fresh(void)
{
        StsProof proof = good();
        CHECK(sts_proof_is_fresh(&proof, WHEN));
        CHECK(sts_proof_is_fresh(&proof, WHEN + 240) && sts_proof_is_fresh(&proof, WHEN - 240));
        CHECK(!sts_proof_is_fresh(&proof, WHEN + 241) && !sts_proof_is_fresh(&proof, WHEN - 241));
}

#define ANSWER(arn)                                                                       \
        "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">" \
        "<GetCallerIdentityResult><Arn>" arn "</Arn><UserId>AROAEXAMPLE:i-1</UserId>"     \
        "<Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata>"     \
        "<RequestId>r</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
#define REFUSAL(code)                                                                \
        "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error>" \
        "<Type>Sender</Type><Code>" code "</Code><Message>m</Message></Error>"       \
        "<RequestId>r</RequestId></ErrorResponse>"

static int check_proof(const char *status, const char *body, StsCaller *ret,
                       char why[STS_REASON_MAX], Error *err)
{
        Wait wait = test_patience();
        const StsProof proof = good();
        *ret = (StsCaller) {};
        *why = '\0';
        server_reset(&server, NULL);
        server_script(&server, status, "Content-Type: text/xml\r\n", body);
        return sts_check(boot.aws, &proof, &claim, &wait, ret, why, err);
}

/* Only the proof's own four values come of the proof. */
static void test_request(void)
{
        Error err = {};
        StsCaller caller;
        char why[STS_REASON_MAX];
        CHECK_INT(check_proof("200 OK",
                              ANSWER("arn:aws:sts::123456789012:assumed-role/NodeRole/i-0abc"),
                              &caller, why, &err),
                  1);
        CHECK_STR(caller.account, "123456789012");
        CHECK_STR(caller.role, "NodeRole");
        CHECK_STR(caller.session, "i-0abc");
        const char *request = server_request(&server, 0);
        CHECK(string_starts_with(request, "POST / HTTP/1.1\r\n"));
        CHECK_CONTAINS(request, "\r\n\r\nAction=GetCallerIdentity&Version=2011-06-15");
        CHECK_CONTAINS(request, "\r\nX-Amz-Date: 20260203T040506Z\r\n");
        CHECK_CONTAINS(request, "\r\nX-Amz-Security-Token: IQoJb3/+=\r\n");
        CHECK_CONTAINS(request, "\r\nX-Kube-Bootstrap-Cluster: cluster-1\r\n");
        CHECK_CONTAINS(request, "\r\nX-Kube-Bootstrap-Request: " SHA "\r\n");
        CHECK_CONTAINS(request,
                       "\r\nAuthorization: AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE2/20260203/"
                       "us-east-1/sts/aws4_request, SignedHeaders=content-type;host;x-amz-date;"
                       "x-amz-security-token;x-kube-bootstrap-cluster;x-kube-bootstrap-request, "
                       "Signature=" SIGNATURE "\r\n");
}

/* https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-arns */
static void test_callers(void)
{
        static const struct {
                const char *arn;
                int result;
        } cases[] = {
                { ANSWER("arn:aws-cn:sts::123456789012:assumed-role/R/i-1"), 1 },
                { ANSWER("arn:aws:iam::123456789012:user/admin"), 0 },
                { ANSWER("arn:aws:iam::123456789012:root"), 0 },
                { ANSWER("arn:aws:sts::123456789012:federated-user/i-1"), 0 },
                { ANSWER("arn:aws:sts::123456789012:assumed-role/R"), 0 },
                { ANSWER("arn:aws:sts::123456789012:assumed-role/R/"), 0 },
                { ANSWER("arn:aws:sts::123456789012:assumed-role/p/R/i-1"), 0 },
                { ANSWER("arn:aws:sts:us-east-1:123456789012:assumed-role/R/i-1"), 0 },
                { ANSWER("arn:aws:sts::1234567890123456:assumed-role/R/i-1"), 0 },
                { ANSWER("i-1"), 0 },
                { ANSWER(""), -EBADMSG },
                { "<html/>", -EBADMSG },
                { "", -EBADMSG },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                StsCaller caller;
                char why[STS_REASON_MAX];
                int r = check_proof("200 OK", c->arn, &caller, why, &err);
                if (r != c->result || (r == 0 && !*why) || (r < 0 && err.class != ERROR_RETRY)) {
                        test_fail(__FILE__, __LINE__, "%s: %d (%s) %s", c->arn, r, why,
                                  error_class_to_string(err.class));
                }
        }
}

/* https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html */
static void test_refusals(void)
{
        static const struct {
                const char *status, *body;
                int is_answer;
        } cases[] = {
                { "403 Forbidden", REFUSAL("SignatureDoesNotMatch"), 1 },
                { "403 Forbidden", REFUSAL("InvalidClientTokenId"), 1 },
                { "403 Forbidden", REFUSAL("ExpiredToken"), 1 },
                { "400 Bad", REFUSAL("IncompleteSignature"), 1 },
                { "403 Forbidden", REFUSAL("AccessDenied"), 0 },
                { "403 Forbidden", REFUSAL("RegionDisabledException"), 0 },
                { "400 Bad", REFUSAL("Throttling"), 0 },
                { "503 Unavailable", REFUSAL("ServiceUnavailable"), 0 },
                { "500 Error", REFUSAL("InternalFailure"), 0 },
                { "403 Forbidden", "a proxy's page", 0 },
                { "302 Found", "", 0 },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                StsCaller caller;
                char why[STS_REASON_MAX];
                int r = check_proof(c->status, c->body, &caller, why, &err);
                if (c->is_answer ? r != 0 || !*why : r >= 0 || err.class != ERROR_RETRY) {
                        test_fail(__FILE__, __LINE__, "%s %s: %d (%s)", c->status, c->body, r, why);
                }
        }
}

int main(void)
{
        start_world();
        test_case("sts: a proof's text", test_text);
        test_case("sts: texts that are none", test_other_texts);
        test_case("sts: how long a proof is fresh", test_fresh);
        test_case("sts: the request that STS gets", test_request);
        test_case("sts: who may be behind it", test_callers);
        test_case("sts: refusals, and no answers", test_refusals);
        server_reset(&server, NULL);
        aws_client_free(boot.aws);
        credentials_free(boot.credentials);
        http_done();
        return test_done();
}
