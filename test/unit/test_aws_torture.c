/* SPDX-License-Identifier: Apache-2.0 */

/* Memory that runs out at the 1st, 2nd, 3rd … allocation: each failure is reported as one that may
 * pass, leaves nothing behind and changes nothing that it was to fill. */

#include <errno.h>
#include <malloc.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "aws/ec2_internal.h"
#include "aws/errors.h"
#include "aws/imds_internal.h"
#include "aws/s3_internal.h"
#include "aws/sigv4.h"
#include "aws/xml.h"
#include "harness.h"

#ifndef __SANITIZE_ADDRESS__ /* which has a malloc of its own */

/* glibc's own, beneath the ones that are replaced here:
 * https://www.gnu.org/software/libc/manual/html_node/Replacing-malloc.html */
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);

static bool counting;
static long fail_at; /* the allocation that fails, counted from 1; 0: none */
static long n_allocations, n_live;

static bool may_allocate(void)
{
        return !counting || ++n_allocations != fail_at;
}

void *malloc(size_t n)
{
        void *p = may_allocate() ? __libc_malloc(n) : NULL;
        n_live += p != NULL;
        return p;
}

void *calloc(size_t n, size_t size)
{
        void *p = may_allocate() ? __libc_calloc(n, size) : NULL;
        n_live += p != NULL;
        return p;
}

void *realloc(void *old, size_t n)
{
        void *p = may_allocate() ? __libc_realloc(old, n) : NULL;
        n_live += p != NULL && !old;
        return p;
}

void free(void *p)
{
        n_live -= p != NULL;
        __libc_free(p);
}

typedef int Function(Error *err);

/* Runs it with each of its allocations failing in turn, until one run needs no more of them. */
static void torture(const char *name, Function *function)
{
        Error err = {};
        ERR_clear_error(); /* libraries make what they keep at the first use */
        if (function(&err) < 0) {
                test_fail(__FILE__, __LINE__, "%s: %s", name, err.message);
                return;
        }
        long n_failures = 0;
        for (long n = 1; n < 10000; n++) {
                long before = n_live;
                err = (Error) {};
                counting = true;
                fail_at = n;
                n_allocations = 0;
                int r = function(&err);
                counting = false;
                ERR_clear_error();
                bool failed = n_allocations >= n;
                n_failures += r < 0;
                if (r < 0 && (err.error != ENOMEM || err.class != ERROR_RETRY)) {
                        test_fail(__FILE__, __LINE__, "%s: allocation %ld: %d %s", name, n, r,
                                  err.message);
                }
                if (n_live != before) {
                        test_fail(__FILE__, __LINE__, "%s: allocation %ld: %ld leaked", name, n,
                                  n_live - before);
                }
                if (!failed) {
                        CHECK_INT(r, 0);
                        break;
                }
        }
        CHECK(n_failures > 0);
        printf("# %s: %ld allocations failed\n", name, n_failures);
}

static int xml(Error *err)
{
        static const char text[] = "<a><b>text</b><c><d/>more text</c></a>";
        XmlNode *root = NULL;
        int r = xml_parse(text, strlen(text), &root, err);
        xml_free(r < 0 ? NULL : root);
        return r;
}

static int sign(Error *err)
{
        char name[] = "Host", value[] = "example.com";
        const HttpHeader host = { name, value };
        AwsKeys keys = { .access_key_id = "AKID" };
        keys.secret_access_key = keys.session_token = SECRET_INIT;
        Sigv4Request request = { .method = "GET",
                                 .path = "/a/../b",
                                 .query = "b=2&a=1",
                                 .headers = &host,
                                 .n_headers = 1,
                                 .region = "us-east-1",
                                 .service = "ec2",
                                 .double_encode_path = true,
                                 .normalize_path = true };
        Sigv4Result result = { .amz_date = "untouched" };
        int r = buffer_append_string(&keys.secret_access_key, "secret");
        r = r < 0 ? r : buffer_append_string(&keys.session_token, "token");
        r = r < 0 ? error_oom(err) : sigv4_sign(&request, &keys, &result, err);
        if (r < 0) {
                CHECK_STR(result.amz_date, "untouched");
        } else {
                sigv4_result_done(&result);
        }
        aws_keys_done(&keys);
        return r;
}

static int url(Error *err)
{
        const Endpoint endpoint = { .url = "https://s3.us-east-1.amazonaws.com" };
        _cleanup_buffer_ Buffer text = {};
        return s3_url(&endpoint, "kube", "a b/c", &text) < 0 ? error_oom(err) : 0;
}

/* jansson does not tell reliably what it had no memory for from what is no document: the class is
 * the same. */
static int credentials(Error *err)
{
        static const char text[] =
                "{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"s\","
                "\"Token\":\"t\",\"Expiration\":\"2026-11-25T14:00:00Z\"}";
        AwsKeys keys = {};
        int r = imds_parse_credentials(text, strlen(text), &keys, err);
        aws_keys_done(&keys);
        return r < 0 && err->class == ERROR_RETRY ? error_oom(err) : r;
}

static int reply_error(Error *err)
{
        static const char text[] = "<Response><Errors><Error><Code>VolumeInUse</Code><Message>m"
                                   "</Message></Error></Errors></Response>";
        HttpReply reply = { .status = 503 };
        if (buffer_append_string(&reply.body, text) < 0) {
                return error_oom(err);
        }
        Error failed = {};
        int r = errors_from_reply(&reply, "ec2", "AttachVolume", "vol-1", &failed);
        http_reply_done(&reply);
        CHECK(r < 0);
        CHECK_INT(failed.class, ERROR_RETRY); /* by the code, or without memory by the status */
        return 0;
}

static void test_xml(void)
{
        torture("xml_parse", xml);
}

static void test_sign(void)
{
        torture("sigv4_sign", sign);
}

static void test_url(void)
{
        torture("s3_url", url);
}

static void test_credentials(void)
{
        torture("imds_parse_credentials", credentials);
}

static void test_reply_error(void)
{
        torture("errors_from_reply", reply_error);
}

int main(void)
{
        test_case("xml_parse()", test_xml);
        test_case("sigv4_sign()", test_sign);
        test_case("s3_url()", test_url);
        test_case("imds_parse_credentials()", test_credentials);
        test_case("errors_from_reply()", test_reply_error);
        return test_done();
}

#else

int main(void)
{
        test_skip("memory runs out in the AWS modules", "the sanitizer has its own malloc");
        return test_done();
}

#endif
