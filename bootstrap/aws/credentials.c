/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/credentials.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "aws/imds_internal.h"
#include "base/cleanup.h"

#define ROLES_PATH "meta-data/iam/security-credentials/"

#define REFRESH_BEFORE_S 300
/* Keys whose expiry looks near or past when they arrive (the clock is wrong, or IMDS has new ones
 * late) are used, and fetched again after this time. */
#define REFETCH_AFTER_MS 60000

struct Credentials {
        Imds *imds; /* NULL: fixed keys */
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool fetching;
        bool refused;
        uint64_t fetched_ms;       /* 0: never */
        uint64_t refused_since_ms; /* when IMDS first refused; 0: it does not */
        AwsKeys keys;
};

static int credentials_copy_secret(const Secret *from, Secret *to)
{
        *to = SECRET_INIT;
        return from->size > 0 ? buffer_append(to, from->data, from->size) : 0;
}

static int keys_copy(const AwsKeys *from, AwsKeys *ret, Error *err)
{
        AwsKeys keys = *from;
        int r = credentials_copy_secret(&from->secret_access_key, &keys.secret_access_key);
        int q = credentials_copy_secret(&from->session_token, &keys.session_token);
        if (r < 0 || q < 0) {
                aws_keys_done(&keys);
                return error_oom(err);
        }
        *ret = keys;
        return 0;
}

static Credentials *credentials_new(Imds *imds, Error *err)
{
        pthread_condattr_t attributes;
        Credentials *c = calloc(1, sizeof(*c));
        if (!c) {
                (void) error_oom(err);
                return NULL;
        }
        c->imds = imds;
        int r = pthread_condattr_init(&attributes);
        if (r == 0) {
                r = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
                if (r == 0) {
                        r = pthread_cond_init(&c->changed, &attributes);
                }
                (void) pthread_condattr_destroy(&attributes); /* cannot fail once initialised */
        }
        if (r != 0) {
                (void) error_errno(err, r, "make a condition variable");
                free(c);
                return NULL;
        }
        (void) pthread_mutex_init(&c->mutex, NULL); /* cannot fail with default attributes */
        return c;
}

int credentials_new_imds(Imds *imds, Credentials **ret, Error *err)
{
        Credentials *c = credentials_new(imds, err);
        if (!c) {
                return -ENOMEM;
        }
        *ret = c;
        return 0;
}

int credentials_new_static(const char *access_key_id, const char *secret, const char *token,
                           Credentials **ret, Error *err)
{
        if (strlen(access_key_id) >= sizeof((*ret)->keys.access_key_id)) {
                return error_set(err, ERROR_CONFIG, EINVAL, "access key id is too long");
        }
        Credentials *c = credentials_new(NULL, err);
        if (!c) {
                return -ENOMEM;
        }
        AwsKeys *keys = &c->keys;
        (void) snprintf(keys->access_key_id, sizeof(keys->access_key_id), "%s", access_key_id);
        keys->secret_access_key = keys->session_token = SECRET_INIT;
        if (buffer_append_string(&keys->secret_access_key, secret) < 0 ||
            (token && buffer_append_string(&keys->session_token, token) < 0)) {
                credentials_free(c);
                return error_oom(err);
        }
        *ret = c;
        return 0;
}

void credentials_free(Credentials *credentials)
{
        if (!credentials) {
                return;
        }
        aws_keys_done(&credentials->keys);
        (void) pthread_cond_destroy(&credentials->changed); /* nobody waits any more */
        (void) pthread_mutex_destroy(&credentials->mutex);
        free(credentials);
}

/* Fetches the role's name, then its keys. If IMDS lacks or refuses one of them, the error is
 * ERROR_CONFIG. */
static int fetch_once(Credentials *c, const Wait *wait, AwsKeys *ret, Error *err)
{
        _cleanup_buffer_ Buffer roles = { .max = 4096 };
        int r = imds_get(c->imds, ROLES_PATH, wait, &roles, err);
        if (r < 0) {
                return r;
        }
        char role[65], path[sizeof(ROLES_PATH) + sizeof(role)];
        size_t n = roles.data ? strcspn(roles.data, "\n") : 0; /* IMDS gives a list, of one role */
        if (r == 0 || n == 0) {
                return error_from_aws(
                        err, error_set(err, ERROR_CONFIG, ENOENT,
                                       "the instance has no IAM role, as instance metadata says: "
                                       "give its launch template an instance profile"));
        }
        if (!imds_copy_word(roles.data, n, role, sizeof(role)) || !imds_is_role_name(role)) {
                return error_from_aws(err, error_set(err, ERROR_CONFIG, EBADMSG,
                                                     "instance metadata: %s gives no role name",
                                                     ROLES_PATH));
        }
        (void) snprintf(path, sizeof(path), "%s%s", ROLES_PATH, role);
        _cleanup_secret_ Secret document = SECRET_INIT;
        r = imds_get(c->imds, path, wait, &document, err);
        if (r < 0) {
                return r;
        }
        if (r == 0) {
                return error_from_aws(err, error_set(err, ERROR_CONFIG, ENODATA,
                                                     "instance metadata has no credentials of IAM "
                                                     "role %s: check that the role exists and "
                                                     "trusts EC2",
                                                     role));
        }
        r = imds_parse_credentials(document.data, document.size, ret, err);
        return r < 0 ? error_prefix(err, "role %s", role) : 0;
}

/* Reports that the wait for the role timed out, with IMDS's last answer, *said. */
static int role_timed_out(const Error *said, Error *err)
{
        return error_set(err, ERROR_RETRY, ETIMEDOUT, "wait for the IAM role's credentials: %s",
                         said->message);
}

/* Fetches keys, and retries for CREDENTIALS_GRACE_MS since IMDS first lacked the role or refused
 * its credentials: a new instance's role appears late, and its credentials may be refused at first.
 * https://github.com/awslabs/amazon-eks-ami/issues/1970 */
static int fetch(Credentials *c, const Wait *wait, AwsKeys *ret, Error *err)
{
        Error said = {};
        for (unsigned attempt = 0;; attempt++) {
                Error failed = {};
                int r = fetch_once(c, wait, ret, &failed);
                if (r >= 0) {
                        c->refused_since_ms = 0;
                        return 0;
                }
                if (r == -ETIMEDOUT && attempt > 0) {
                        return role_timed_out(&said, err);
                }
                uint64_t now = wait_now_ms();
                bool may_appear = failed.class == ERROR_CONFIG;
                if (may_appear && !c->refused_since_ms) {
                        c->refused_since_ms = now;
                }
                if (!may_appear || now - c->refused_since_ms >= CREDENTIALS_GRACE_MS) {
                        *err = failed;
                        return r;
                }
                said = failed;
                r = wait_sleep(wait, wait_backoff_ms(500, 3000, attempt), &failed);
                if (r < 0) {
                        *err = failed;
                        return r == -ETIMEDOUT ? role_timed_out(&said, err) : r;
                }
        }
}

static bool usable(const Credentials *c)
{
        if (!c->imds) {
                return true;
        }
        if (!c->fetched_ms || c->refused) {
                return false;
        }
        return c->keys.expires - time(NULL) > REFRESH_BEFORE_S ||
               wait_now_ms() - c->fetched_ms < REFETCH_AFTER_MS;
}

/* Fetches new keys. Called with the mutex held, and releases it during the fetch. */
static int refresh(Credentials *c, const Wait *wait, Error *err)
{
        _cleanup_aws_keys_ AwsKeys keys = {};
        Error failed = {};
        c->fetching = true;
        (void) pthread_mutex_unlock(&c->mutex);
        int r = fetch(c, wait, &keys, &failed);
        (void) pthread_mutex_lock(&c->mutex);
        c->fetching = false;
        (void) pthread_cond_broadcast(&c->changed);

        if (r == 0) {
                aws_keys_done(&c->keys);
                c->keys = keys;
                keys = (AwsKeys) {};
                c->refused = false;
                c->fetched_ms = wait_now_ms();
                return 0;
        }
        if (c->fetched_ms && !c->refused && c->keys.expires > time(NULL)) {
                return 0; /* the current keys are still valid */
        }
        *err = failed;
        return r;
}

/* Waits up to 50 ms for the thread that fetches; the caller repeats this until the keys are there.
 * So a stop request or the deadline ends the wait within 50 ms. */
static int credentials_wait_for_other(Credentials *c, const Wait *wait, Error *err)
{
        struct timespec until;
        (void) clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail for a clock that exists */
        until.tv_nsec += 50 * 1000000;
        if (until.tv_nsec >= 1000000000) {
                until.tv_sec++;
                until.tv_nsec -= 1000000000;
        }
        (void) pthread_cond_timedwait(&c->changed, &c->mutex, &until); /* the caller checks again */
        int r = wait_check(wait, err);
        return r < 0 ? error_prefix(err, "wait for the IAM role's credentials") : 0;
}

int credentials_get(Credentials *credentials, const Wait *wait, AwsKeys *ret, Error *err)
{
        Credentials *c = credentials;
        int r = 0;
        (void) pthread_mutex_lock(&c->mutex);
        while (!usable(c) && r == 0) {
                if (c->fetching) {
                        r = credentials_wait_for_other(c, wait, err);
                        continue;
                }
                r = refresh(c, wait, err);
                break;
        }
        if (r >= 0) {
                r = keys_copy(&c->keys, ret, err);
        }
        (void) pthread_mutex_unlock(&c->mutex);
        return r;
}

bool credentials_invalidate(Credentials *credentials, const AwsKeys *refused)
{
        if (!credentials->imds) {
                return false;
        }
        (void) pthread_mutex_lock(&credentials->mutex);
        if (streq(credentials->keys.access_key_id, refused->access_key_id)) {
                credentials->refused = true;
        }
        (void) pthread_mutex_unlock(&credentials->mutex);
        return true;
}
