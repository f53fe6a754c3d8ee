/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/sigv4.h"

#include <jansson.h>
#include <stdlib.h>

#include "harness.h"

#define SUITE     "test/vectors/sigv4/suite.json" /* AWS's, in one file */
#define OWN_CASES "test/vectors/sigv4/cases.json"

/* A request as text: "GET /path?query HTTP/1.1", headers, an empty line, the body. */
typedef struct Parsed {
        char *method, *path, *query, *body;
        HttpHeader headers[SIGV4_HEADERS_MAX];
        size_t n_headers;
} Parsed;

static void parse_request(char *text, Parsed *p)
{
        char *head_end = strstr(text, "\n\n");
        p->body = head_end ? head_end + 2 : text + strlen(text);
        if (head_end) {
                *head_end = '\0';
        }
        char *line_end = strchr(text, '\n');
        char *first_end = line_end ? line_end : text + strlen(text);
        char *rest = line_end ? line_end + 1 : first_end;
        *first_end = '\0';
        char *version = strstr(text, " HTTP/1.1");
        if (version) {
                *version = '\0'; /* a path may hold blanks */
        }
        p->method = text;
        p->path = strchr(text, ' ');
        *p->path++ = '\0';
        p->query = strchr(p->path, '?');
        if (p->query) {
                *p->query++ = '\0';
        } else {
                p->query = p->path + strlen(p->path);
        }
        while (*rest && p->n_headers < SIGV4_HEADERS_MAX) {
                char *end = rest;
                do { /* a line that begins with a blank goes on with the value before */
                        end += strcspn(end, "\n");
                } while (end[0] && end[1] == ' ' && end++);
                char *next = *end ? end + 1 : end;
                *end = '\0';
                char *colon = strchr(rest, ':');
                *colon = '\0';
                p->headers[p->n_headers++] = (HttpHeader) { rest, colon + 1 };
                rest = next;
        }
}

static const char *text_of(const json_t *object, const char *key)
{
        const char *s = json_string_value(json_object_get(object, key));
        return s ? s : "";
}

static void set_keys(AwsKeys *keys, const char *id, const char *secret, const char *token)
{
        (void) snprintf(keys->access_key_id, sizeof(keys->access_key_id), "%s", id);
        keys->secret_access_key = keys->session_token = SECRET_INIT;
        if (buffer_append_string(&keys->secret_access_key, secret) < 0 ||
            (*token && buffer_append_string(&keys->session_token, token) < 0)) {
                abort();
        }
}

static void check_suite_case(const json_t *c)
{
        _cleanup_free_ char *request_text = strdup(text_of(c, "request"));
        const json_t *given = json_object_get(c, "credentials");
        struct tm tm = {};
        REQUIRE(request_text && *request_text);
        REQUIRE(strptime(text_of(c, "timestamp"), "%Y-%m-%dT%H:%M:%SZ", &tm));
        Parsed parsed = {};
        parse_request(request_text, &parsed);
        _cleanup_aws_keys_ AwsKeys keys = {};
        set_keys(&keys, text_of(given, "access_key_id"), text_of(given, "secret_access_key"),
                 text_of(given, "token"));
        Sigv4Request request = {
                .method = parsed.method,
                .path = parsed.path,
                .query = parsed.query,
                .headers = parsed.headers,
                .n_headers = parsed.n_headers,
                .body = parsed.body,
                .body_size = strlen(parsed.body),
                .region = text_of(c, "region"),
                .service = text_of(c, "service"),
                .now = timegm(&tm),
                .double_encode_path = true,
                .normalize_path = json_is_true(json_object_get(c, "normalize")),
                .sign_body_header = json_is_true(json_object_get(c, "sign_body")),
                .omit_session_token = json_is_true(json_object_get(c, "omit_session_token")),
        };
        _cleanup_sigv4_result_ Sigv4Result result = {};
        Error err = {};
        CHECK_OK(sigv4_sign(&request, &keys, &result, &err), err);
        CHECK_STR(result.canonical_request.data, text_of(c, "canonical_request"));
        CHECK_STR(result.string_to_sign.data, text_of(c, "string_to_sign"));
        CHECK(string_ends_with(result.authorization, text_of(c, "signature")));
        CHECK_CONTAINS(text_of(c, "signed_request"), result.authorization);
}

static void test_suite(void)
{
        json_auto_t *root = json_load_file(SUITE, 0, NULL);
        const json_t *cases = json_object_get(root, "cases");
        CHECK_INT(json_array_size(cases), 38);
        for (size_t i = 0; i < json_array_size(cases); i++) {
                check_suite_case(json_array_get(cases, i));
        }
}

static void check_own_case(const json_t *root, const json_t *c)
{
        const char *url = text_of(c, "url"), *service = text_of(c, "service"), *name;
        const char *host_start = strstr(url, "://") + 3;
        bool s3 = streq(service, "s3");
        _cleanup_free_ char *host = strndup(host_start, strcspn(host_start, "/"));
        HttpHeader headers[SIGV4_HEADERS_MAX] = { { (char[]) { "Host" }, host } };
        size_t n = 1;
        json_t *value;
        json_object_foreach(json_object_get(c, "headers"), name, value) {
                headers[n++] = (HttpHeader) { (char *) (uintptr_t) name,
                                              (char *) (uintptr_t) json_string_value(value) };
        }
        _cleanup_aws_keys_ AwsKeys keys = {};
        set_keys(&keys, text_of(root, "access_key_id"), text_of(root, "secret_access_key"),
                 text_of(c, "token"));
        Sigv4Request request = {
                .method = text_of(c, "method"),
                .path = strchr(host_start, '/'),
                .query = text_of(c, "query"),
                .headers = headers,
                .n_headers = n,
                .body = text_of(c, "body"),
                .body_size = strlen(text_of(c, "body")),
                .region = text_of(c, "region"),
                .service = service,
                .now = json_integer_value(json_object_get(root, "now")),
                .double_encode_path = !s3,
                .normalize_path = !s3,
                .sign_body_header = s3,
        };
        _cleanup_sigv4_result_ Sigv4Result result = {};
        Error err = {};
        CHECK_OK(sigv4_sign(&request, &keys, &result, &err), err);
        CHECK_STR(result.canonical_request.data, text_of(c, "canonical_request"));
        CHECK_STR(result.string_to_sign.data, text_of(c, "string_to_sign"));
        CHECK_STR(result.authorization, text_of(c, "authorization"));
}

static void test_own_vectors(void)
{
        json_auto_t *root = json_load_file(OWN_CASES, 0, NULL);
        const json_t *cases = json_object_get(root, "cases");
        REQUIRE(json_array_size(cases) >= 20);
        for (size_t i = 0; i < json_array_size(cases); i++) {
                check_own_case(root, json_array_get(cases, i));
        }
        printf("# %zu cases computed by botocore %s\n", json_array_size(cases),
               text_of(root, "botocore"));
}

static void test_uri_encode(void)
{
        static const struct {
                const char *text;
                bool keep_slash;
                const char *expected;
        } cases[] = {
                { "", false, "" },
                { "azAZ09-._~", false, "azAZ09-._~" },
                { "a/b c", false, "a%2Fb%20c" },
                { "a/b c", true, "a/b%20c" },
                { "+*%&=\x7f", false, "%2B%2A%25%26%3D%7F" },
                { "\xc3\xbc", true, "%C3%BC" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_buffer_ Buffer b = {};
                CHECK_INT(sigv4_uri_encode(c->text, c->keep_slash, &b), 0);
                CHECK_STR(b.data ? b.data : "", c->expected);
        }
}

/* What does not fit is refused, and leaves the result alone. */
static void test_limits(void)
{
        char name[] = "x", value[] = "y";
        HttpHeader headers[SIGV4_HEADERS_MAX + 1];
        FOREACH_ARRAY(h, headers, ELEMENTS(headers)) {
                *h = (HttpHeader) { name, value };
        }
        _cleanup_aws_keys_ AwsKeys keys = {};
        set_keys(&keys, "AKID", "secret", "");
        Sigv4Request request = { .method = "GET",
                                 .path = "/",
                                 .query = "",
                                 .headers = headers,
                                 .n_headers = ELEMENTS(headers),
                                 .region = "us-east-1",
                                 .service = "ec2" };
        Sigv4Result result = { .amz_date = "untouched" };
        Error err = {};
        CHECK(sigv4_sign(&request, &keys, &result, &err) < 0);
        CHECK_INT(err.class, ERROR_FATAL);
        CHECK_STR(result.amz_date, "untouched");

        char query[1024] = "";
        for (size_t i = 0; i < 300; i++) {
                memcpy(query + 2 * i, "a&", 3);
        }
        request.n_headers = 1;
        request.query = query;
        CHECK(sigv4_sign(&request, &keys, &result, &err) < 0);
        CHECK_STR(result.amz_date, "untouched");
}

int main(void)
{
        test_case("AWS's Signature Version 4 suite", test_suite);
        test_case("requests as botocore signs them", test_own_vectors);
        test_case("percent-encoding", test_uri_encode);
        test_case("what is too large is refused", test_limits);
        return test_done();
}
