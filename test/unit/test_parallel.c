/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parallel.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/digest.h"
#include "harness.h"

#define JOBS 50

static atomic_uint done[JOBS];
static atomic_size_t fails_at;

static int job(void *userdata, size_t i, Error *err)
{
        CHECK(userdata == &fails_at);
        atomic_fetch_add(&done[i], 1);
        return i == fails_at ? error_set(err, ERROR_RETRY, EIO, "job %zu", i) : 0;
}

static void test_each_once(void)
{
        Error err = {};
        fails_at = JOBS;
        CHECK_OK(parallel_do(JOBS, job, &fails_at, &err), err);
        FOREACH_ARRAY(n, done, JOBS) {
                CHECK_INT(*n, 1);
        }
        CHECK_OK(parallel_do(0, job, &fails_at, &err), err);
}

static void test_a_failure_ends_it(void)
{
        Error err = {};
        fails_at = 0;
        FOREACH_ARRAY(n, done, JOBS) {
                *n = 0;
        }
        CHECK_INT(parallel_do(JOBS, job, &fails_at, &err), -EIO);
        CHECK_STR(err.message, "job 0");
        CHECK_INT(err.class, ERROR_RETRY);
        fails_at = JOBS - 1;
        CHECK_INT(parallel_do(JOBS, job, &fails_at, &err), -EIO); /* the last is not lost */
}

/* FIPS 180-4's examples:
 * https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values */
static void test_digest(void)
{
        char hex[DIGEST_HEX_MAX];
        digest_sha256_hex("abc", 3, hex);
        CHECK_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        digest_sha256_hex(NULL, 0, hex);
        CHECK_STR(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int main(void)
{
        test_case("each job is done once", test_each_once);
        test_case("a failure ends it, and is told", test_a_failure_ends_it);
        test_case("SHA-256", test_digest);
        return test_done();
}
