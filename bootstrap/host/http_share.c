/* SPDX-License-Identifier: Apache-2.0 */
#include "host/http_internal.h"

#include <errno.h>
#include <pthread.h>

#include "base/cleanup.h"
#include "base/string.h"

static pthread_mutex_t mutexes[CURL_LOCK_DATA_LAST];

static void share_lock(CURL *easy, curl_lock_data data, curl_lock_access access, void *userdata)
{
        (void) easy;
        (void) access;
        (void) userdata;
        (void) pthread_mutex_lock(&mutexes[data]); /* cannot fail: not recursive, initialised */
}

static void share_unlock(CURL *easy, curl_lock_data data, void *userdata)
{
        (void) easy;
        (void) userdata;
        (void) pthread_mutex_unlock(&mutexes[data]);
}

int http_share_new(CURLSH **ret, Error *err)
{
        static const curl_lock_data shared[] = { CURL_LOCK_DATA_DNS, CURL_LOCK_DATA_SSL_SESSION };
        CURLSH *share = curl_share_init();
        if (!share) {
                return error_oom(err);
        }
        FOREACH_ARRAY(mutex, mutexes, ELEMENTS(mutexes)) {
                (void) pthread_mutex_init(mutex, NULL); /* cannot fail without attributes */
        }
        CURLSHcode code = curl_share_setopt(share, CURLSHOPT_LOCKFUNC, share_lock);
        if (code == CURLSHE_OK) {
                code = curl_share_setopt(share, CURLSHOPT_UNLOCKFUNC, share_unlock);
        }
        for (size_t i = 0; code == CURLSHE_OK && i < ELEMENTS(shared); i++) {
                code = curl_share_setopt(share, CURLSHOPT_SHARE, shared[i]);
        }
        if (code != CURLSHE_OK) {
                http_share_free(share);
                return error_set(err, ERROR_FATAL, EIO, "libcurl: %s", curl_share_strerror(code));
        }
        *ret = share;
        return 0;
}

void http_share_free(CURLSH *share)
{
        (void) curl_share_cleanup(share); /* fails only for one that is in use */
}
