/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/join.h"

#include <errno.h>
#include <jansson.h>

#include "cluster/csr.h"
#include "harness.h"

#define WHEN 1770091506 /* 2026-02-03T04:05:06Z */

static void test_new(void)
{
        JoinToken a = {}, b = {};
        Error err = {};
        CHECK_OK(join_token_new(WHEN, 86400, &a, &err), err);
        CHECK_OK(join_token_new(WHEN, 86400, &b, &err), err);
        CHECK_INT(strspn(a.id, "abcdefghijklmnopqrstuvwxyz0123456789"), 6);
        CHECK_INT(strspn(a.secret, "abcdefghijklmnopqrstuvwxyz0123456789"), 16);
        CHECK_INT(strlen(a.id), 6);
        CHECK_INT(strlen(a.secret), 16);
        CHECK(!streq(a.id, b.id) && !streq(a.secret, b.secret));
        CHECK_INT(a.expires, WHEN + 86400);
        join_token_done(&a);
        CHECK_STR(a.secret, "");
}

static void test_life(void)
{
        const JoinToken token = { "abcdef", "0123456789abcdef", WHEN + 1000 };
        CHECK(join_token_is_fresh(&token, WHEN, 1000));
        CHECK(join_token_is_fresh(&token, WHEN + 500, 1000));
        CHECK(!join_token_is_fresh(&token, WHEN + 501, 1000));
        CHECK(join_token_is_fresh(&token, WHEN + 501, 900)); /* the life was made shorter */
        CHECK(join_token_is_alive(&token, WHEN + 501));
        CHECK(join_token_is_alive(&token, WHEN + 969));
        CHECK(!join_token_is_alive(&token, WHEN + 990)); /* too little to join with */
        CHECK(!join_token_is_alive(&token, WHEN + 2000));
}

static void test_document(void)
{
        const JoinToken token = { "abcdef", "0123456789abcdef", WHEN };
        JoinToken again = {};
        _cleanup_secret_ Secret text = SECRET_INIT;
        Error err = {};
        CHECK_OK(join_document_format(&token, &text, &err), err);
        CHECK_CONTAINS(text.data, "\"token\": \"abcdef.0123456789abcdef\"");
        CHECK_CONTAINS(text.data, "\"expires\": \"2026-02-03T04:05:06Z\"");
        CHECK_OK(join_document_parse(text.data, text.size, &again, &err), err);
        CHECK_STR(again.id, token.id);
        CHECK_STR(again.secret, token.secret);
        CHECK_INT(again.expires, token.expires);
}

static void test_refused(void)
{
        static const char *const cases[] = {
                "",
                "{}",
                "[]",
                "{\"schema\":1}",
                "{\"schema\":2,\"token\":\"abcdef.secretsecretsecr\","
                "\"expires\":\"2026-02-03T04:05:06Z\"}",
                "{\"schema\":1,\"token\":\"abcdef.secretsecretsecr\","
                "\"expires\":\"2026-02-03T04:05:06Z\",\"more\":1}",
                "{\"schema\":1,\"token\":\"abcdef0.secretsecretsec\","
                "\"expires\":\"2026-02-03T04:05:06Z\"}",
                "{\"schema\":1,\"token\":\"abcdef.secretsecr.bcdef\","
                "\"expires\":\"2026-02-03T04:05:06Z\"}",
                "{\"schema\":1,\"token\":\"abcdef.secretsecretsec\\n\","
                "\"expires\":\"2026-02-03T04:05:06Z\"}",
                "{\"schema\":1,\"token\":\"abcdef.secretsecr\\\"\\n: x\","
                "\"expires\":\"2026-02-03T04:05:06Z\"}",
                "{\"schema\":1,\"token\":\"abcdef.secretsecretsecr\","
                "\"expires\":\"2026-13-03T04:05:06Z\"}",
                "{\"schema\":1,\"token\":\"abcdef.secretsecretsecr\",\"expires\":1}",
                "{\"schema\":1,\"token\":\"abcdef.secretsecretsecr\","
                "\"expires\":\"0929-02-03T04:05:06Z\"}",
                "{\"schema\":1,\"token\":\"abcdef.secretsecretsecr\","
                "\"expires\":\"2026-02-30T04:05:06Z\"}",
        };
        FOREACH_ARRAY(text, cases, ELEMENTS(cases)) {
                JoinToken token = { .id = "kept" };
                Error err = {};
                if (join_document_parse(*text, strlen(*text), &token, &err) != -EBADMSG) {
                        test_fail(__FILE__, __LINE__, "taken: %s", *text);
                }
                CHECK_INT(err.class, ERROR_RETRY); /* the master will leave a better one */
                CHECK_STR(token.id, "kept");
                CHECK(!strstr(err.message, "secretsecr")); /* no secret in a message */
        }
}

static const char *datum(const json_t *secret, const char *name)
{
        return json_string_value(json_object_get(json_object_get(secret, "stringData"), name));
}

/* https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/#bootstrap-token-secret-format
 */
static void test_secret(void)
{
        const JoinToken token = { "abcdef", "0123456789abcdef", WHEN };
        char name[32];
        join_secret_name(&token, name);
        CHECK_STR(name, "bootstrap-token-abcdef");
        json_auto_t *secret = join_secret_new(&token);
        const json_t *metadata = json_object_get(secret, "metadata");
        CHECK_STR(json_string_value(json_object_get(metadata, "name")), name);
        CHECK_STR(json_string_value(json_object_get(metadata, "namespace")), "kube-system");
        CHECK_STR(json_string_value(json_object_get(secret, "type")),
                  "bootstrap.kubernetes.io/token");
        CHECK_STR(datum(secret, "token-id"), "abcdef");
        CHECK_STR(datum(secret, "token-secret"), "0123456789abcdef");
        CHECK_STR(datum(secret, "expiration"), "2026-02-03T04:05:06Z");
        CHECK_STR(datum(secret, "usage-bootstrap-authentication"), "true");
        CHECK_STR(datum(secret, "usage-bootstrap-signing"), NULL);
        CHECK_STR(datum(secret, "auth-extra-groups"), CSR_GROUP_NODE);
}

int main(void)
{
        test_case("join: a new token", test_new);
        test_case("join: its life", test_life);
        test_case("join: the document", test_document);
        test_case("join: documents that are none", test_refused);
        test_case("join: the Secret", test_secret);
        return test_done();
}
