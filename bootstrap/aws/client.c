/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/client.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aws/errors.h"

#define ATTEMPTS_MAX   5
#define BACKOFF_MS     100
#define BACKOFF_MAX_MS 5000

/* A clock that differs by this much counts as wrong, as in the AWS SDKs: 4 minutes, where AWS
 * refuses a request whose time is 5 minutes off
 * (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html). */
#define SKEW_S 240

/* How long an unknown resource, which may have just been made, is an ERROR_RETRY. The time counts
 * from the first such answer of any resource. After it, a missing resource keeps its own error
 * class. */
#define APPEAR_GRACE_MS 60000

/* Time between any two requests of a client, while AWS throttles: doubled by each refusal,
 * halved by each success. */
#define PACE_MS     100
#define PACE_MAX_MS 5000

struct AwsClient {
        Credentials *credentials;
        char region[64];
        char domain[64];
        char *ca_file;

        pthread_mutex_t mutex; /* protects the members below */
        bool offset_known;
        int64_t offset;     /* seconds to add to our clock, as last seen */
        int64_t correction; /* added when signing: offset if at least SKEW_S, else 0 */
        uint64_t pace_ms;   /* 0: no limit */
        uint64_t next_ms;   /* when the next request may go */
        uint64_t n_requests;
        uint64_t missing_since_ms; /* 0: nothing was missing yet */
};

/* The retries and corrections that one call has used up. */
typedef struct Attempts {
        unsigned n;
        bool renewed;
        bool corrected;
} Attempts;

/* The result of one request: the input for the decision about the next one. */
typedef struct Outcome {
        HttpReply reply;
        AwsKeys keys;
        int64_t correction; /* the one that signing used */
} Outcome;

static void outcome_done(Outcome *outcome)
{
        http_reply_done(&outcome->reply);
        aws_keys_done(&outcome->keys);
}

static void client_lock(AwsClient *client)
{
        (void) pthread_mutex_lock(&client->mutex); /* cannot fail: valid, never locked twice */
}

static void client_unlock(AwsClient *client)
{
        (void) pthread_mutex_unlock(&client->mutex);
}

int aws_client_new(Credentials *credentials, const char *region, const char *domain,
                   AwsClient **ret, Error *err)
{
        if (isempty(region) || strlen(region) >= sizeof((*ret)->region) ||
            (domain && strlen(domain) >= sizeof((*ret)->domain))) {
                return error_set(err, ERROR_CONFIG, EINVAL, "\"%.64s\" is no AWS region",
                                 strempty(region));
        }
        AwsClient *client = calloc(1, sizeof(*client));
        const char *bundle = getenv("AWS_CA_BUNDLE");
        char *ca_file = isempty(bundle) ? NULL : strdup(bundle);
        if (!client || (!isempty(bundle) && !ca_file)) {
                free(client);
                free(ca_file);
                return error_oom(err);
        }
        client->credentials = credentials;
        client->ca_file = ca_file;
        memcpy(client->region, region, strlen(region) + 1);
        if (domain) {
                memcpy(client->domain, domain, strlen(domain) + 1);
        }
        (void) pthread_mutex_init(&client->mutex, NULL); /* cannot fail with default attributes */
        *ret = client;
        return 0;
}

void aws_client_free(AwsClient *client)
{
        if (client) {
                (void) pthread_mutex_destroy(&client->mutex);
                free(client->ca_file);
                free(client);
        }
}

const char *aws_client_region(const AwsClient *client)
{
        return client->region;
}

int aws_client_endpoint(const AwsClient *client, const char *service, const char *region,
                        Endpoint *ret, Error *err)
{
        return endpoint_resolve(service, region ? region : client->region, client->domain, ret,
                                err);
}

void aws_client_clock_offset(AwsClient *client, bool *ret_known, int64_t *ret_seconds)
{
        client_lock(client);
        *ret_known = client->offset_known;
        *ret_seconds = client->offset;
        client_unlock(client);
}

time_t aws_client_time(AwsClient *client)
{
        client_lock(client);
        int64_t offset = client->offset; /* 0 while it is not known */
        client_unlock(client);
        return time(NULL) + offset;
}

uint64_t aws_client_requests(AwsClient *client)
{
        client_lock(client);
        uint64_t n = client->n_requests;
        client_unlock(client);
        return n;
}

/* Learns the clock's offset from the Date of a reply, but only if TLS verified the reply: anybody
 * can put a Date into another one. If this machine's clock is corrected meanwhile, the next reply
 * shows that, and the correction ends. */
static void learn_clock(AwsClient *client, const AwsCall *call, const HttpReply *reply)
{
        if (reply->date == 0 || !string_starts_with(call->url, "https://")) {
                return;
        }
        int64_t offset = reply->date - time(NULL);
        client_lock(client);
        client->offset_known = true;
        client->offset = offset;
        client->correction = llabs(offset) >= SKEW_S ? offset : 0;
        client_unlock(client);
}

/* Waits until the process may send its next request. Without throttling, it may at once. */
static int client_take_turn(AwsClient *client, const Wait *wait, Error *err)
{
        uint64_t now = wait_now_ms();
        client_lock(client);
        uint64_t turn = client->pace_ms && client->next_ms > now ? client->next_ms : now;
        client->next_ms = turn + client->pace_ms;
        client_unlock(client);
        return turn > now ? wait_sleep(wait, turn - now, err) : wait_check(wait, err);
}

static void adjust_pace(AwsClient *client, bool throttled)
{
        client_lock(client);
        if (throttled) {
                uint64_t pace = client->pace_ms ? client->pace_ms * 2 : PACE_MS;
                client->pace_ms = pace < PACE_MAX_MS ? pace : PACE_MAX_MS;
                client->next_ms = wait_now_ms() + client->pace_ms;
        } else {
                client->pace_ms /= 2;
                client->pace_ms = client->pace_ms < PACE_MS ? 0 : client->pace_ms;
        }
        client_unlock(client);
}

/* Copies host, path and query of a URL. *ret_query is part of *ret_path's memory. */
static int split_url(const char *url, char **ret_host, char **ret_path, const char **ret_query)
{
        const char *host = strstr(url, "://");
        host = host ? host + 3 : url;
        size_t n = strcspn(host, "/?");
        _cleanup_free_ char *host_copy = strndup(host, n);
        _cleanup_free_ char *path = strdup(host[n] == '/' ? host + n : "/");
        if (!host_copy || !path) {
                return -ENOMEM;
        }
        char *query = strchr(path, '?');
        if (query) {
                *query++ = '\0';
        }
        *ret_query = strempty(query);
        *ret_host = TAKE(host_copy);
        *ret_path = TAKE(path);
        return 0;
}

static void set_header(HttpHeader *headers, size_t *n, const char *name, const char *value)
{
        /* In a reply, HttpHeader owns its strings. In a request, it only points to the caller's. */
        headers[(*n)++] = (HttpHeader) { (char *) (uintptr_t) name, (char *) (uintptr_t) value };
}

/* Signs the call and fills headers, which point into *keys, *signature and *host. */
static int sign_call(const AwsCall *call, const char *region, const char *host, const char *path,
                     const char *query, time_t now, const AwsKeys *keys, Sigv4Result *signature,
                     HttpHeader headers[SIGV4_HEADERS_MAX], size_t *ret_n, Error *err)
{
        bool s3 = streq(call->service, "s3");
        size_t n = 0;
        if (call->n_headers + 6 > SIGV4_HEADERS_MAX) {
                return error_set(err, ERROR_FATAL, E2BIG, "too many headers to sign");
        }
        set_header(headers, &n, "Host", host);
        for (size_t i = 0; i < call->n_headers; i++) {
                headers[n++] = call->headers[i];
        }
        Sigv4Request request = {
                .method = call->method,
                .path = path,
                .query = query,
                .headers = headers,
                .n_headers = n,
                .body = call->body,
                .body_size = call->body_size,
                .region = region,
                .service = call->service,
                .now = now,
                .double_encode_path = !s3,
                .normalize_path = !s3,
                .sign_body_header = s3,
        };
        int r = sigv4_sign(&request, keys, signature, err);
        if (r < 0) {
                return r;
        }
        set_header(headers, &n, "X-Amz-Date", signature->amz_date);
        if (s3) {
                set_header(headers, &n, "X-Amz-Content-Sha256", signature->body_sha256);
        }
        if (keys->session_token.size > 0) {
                set_header(headers, &n, "X-Amz-Security-Token", keys->session_token.data);
        }
        set_header(headers, &n, "Authorization", signature->authorization);
        *ret_n = n;
        return 0;
}

/* A call with its signature. */
typedef struct SignedCall {
        char *host, *path;
        AwsKeys keys;
        Sigv4Result signature;
        HttpHeader headers[SIGV4_HEADERS_MAX]; /* point into the members above */
        size_t n_headers;
} SignedCall;

static void signed_call_done(SignedCall *signed_call)
{
        free(signed_call->host);
        free(signed_call->path);
        aws_keys_done(&signed_call->keys);
        sigv4_result_done(&signed_call->signature);
}

/* Signs the call with this time. *ret must be zero; it must be released on failure as well. */
static int client_prepare(AwsClient *client, const AwsCall *call, time_t now, const Wait *wait,
                          SignedCall *ret, Error *err)
{
        const char *query;
        if (split_url(call->url, &ret->host, &ret->path, &query) < 0) {
                return error_oom(err);
        }
        int r = credentials_get(client->credentials, wait, &ret->keys, err);
        if (r < 0) {
                return r;
        }
        return sign_call(call, call->region ? call->region : client->region, ret->host, ret->path,
                         query, now, &ret->keys, &ret->signature, ret->headers, &ret->n_headers,
                         err);
}

int aws_client_sign(AwsClient *client, const AwsCall *call, const Wait *wait, AwsKeys *ret_keys,
                    Sigv4Result *ret, Error *err)
{
        _cleanup_(signed_call_done) SignedCall signed_call = {};
        int r = client_prepare(client, call, aws_client_time(client), wait, &signed_call, err);
        if (r < 0) {
                return r;
        }
        *ret_keys = signed_call.keys;
        *ret = signed_call.signature;
        signed_call.keys = (AwsKeys) {};
        signed_call.signature = (Sigv4Result) {};
        return 0;
}

static int client_send(AwsClient *client, const AwsCall *call, const HttpHeader *headers,
                       size_t n_headers, const Wait *wait, HttpReply *ret, Error *err)
{
        char effect[96];
        client_lock(client);
        client->n_requests++;
        client_unlock(client);
        (void) snprintf(effect, sizeof(effect), "%s %s", call->service, call->operation);
        HttpRequest request = {
                .method = call->method,
                .url = call->url,
                .headers = headers,
                .n_headers = n_headers,
                .body = call->body,
                .body_size = call->body_size,
                .tls.ca_file = client->ca_file,
                .reply_max = call->reply_max,
                .secret_reply = call->secret_reply,
                .effect = effect,
        };
        return http_exchange(&request, wait, ret, err);
}

int aws_client_forward(AwsClient *client, const AwsCall *call, const Wait *wait, HttpReply *ret,
                       Error *err)
{
        Error said = {};
        int r = client_take_turn(client, wait, err);
        if (r >= 0) {
                r = client_send(client, call, call->headers, call->n_headers, wait, ret, err);
        }
        if (r < 0) {
                return r;
        }
        if (ret->status >= 400) {
                (void) errors_from_reply(ret, call->service, call->operation, NULL, &said);
        }
        adjust_pace(client, errors_is_throttling(ret->status, said.aws_code));
        return 0;
}

static int send_once(AwsClient *client, const AwsCall *call, const Wait *wait, Outcome *ret,
                     Error *err)
{
        _cleanup_(signed_call_done) SignedCall signed_call = {};
        int r = client_take_turn(client, wait, err);
        client_lock(client);
        ret->correction = client->correction;
        client_unlock(client);
        if (r >= 0) {
                r = client_prepare(client, call, time(NULL) + ret->correction, wait, &signed_call,
                                   err);
        }
        if (r >= 0) {
                r = client_send(client, call, signed_call.headers, signed_call.n_headers, wait,
                                &ret->reply, err);
        }
        ret->keys = signed_call.keys;
        signed_call.keys = (AwsKeys) {};
        return r;
}

static bool is_accepted(const AwsCall *call, int status)
{
        for (size_t i = 0; i < ELEMENTS(call->accept_status) && call->accept_status[i]; i++) {
                if (call->accept_status[i] == status) {
                        return true;
                }
        }
        return false;
}

typedef enum Verdict {
        VERDICT_DONE,   /* the reply is the answer */
        VERDICT_FAILED, /* *failed is the answer */
        VERDICT_NOW,    /* retry at once */
        VERDICT_LATER,  /* retry after a pause */
} Verdict;

/* Returns true while a resource that AWS reports as missing may still appear. */
static bool may_appear(AwsClient *client, const char *aws_code)
{
        if (!errors_may_appear(aws_code)) {
                return false;
        }
        client_lock(client);
        uint64_t now = wait_now_ms();
        client->missing_since_ms = client->missing_since_ms ? client->missing_since_ms : now;
        bool may = now - client->missing_since_ms < APPEAR_GRACE_MS;
        client_unlock(client);
        return may;
}

static Verdict judge_reply(AwsClient *client, const AwsCall *call, const Outcome *outcome,
                           Attempts *attempts, Error *failed)
{
        const HttpReply *reply = &outcome->reply;
        learn_clock(client, call, reply);
        if (reply->status >= 200 && reply->status < 300) {
                adjust_pace(client, false);
                return VERDICT_DONE;
        }
        (void) errors_from_reply(reply, call->service, call->operation, call->resource, failed);
        if (errors_is_throttling(reply->status, failed->aws_code)) {
                adjust_pace(client, true);
        }
        if (errors_is_clock_skew(failed->aws_code) && !attempts->corrected) {
                client_lock(client);
                bool moved = llabs(client->correction - outcome->correction) >= SKEW_S;
                client_unlock(client);
                if (moved) {
                        attempts->corrected = true;
                        return VERDICT_NOW;
                }
        }
        if (errors_is_expired_credentials(failed->aws_code) && !attempts->renewed &&
            credentials_invalidate(client->credentials, &outcome->keys)) {
                attempts->renewed = true;
                return VERDICT_NOW;
        }
        if (errors_is_passing(reply->status, failed->aws_code)) {
                return VERDICT_LATER;
        }
        if (may_appear(client, failed->aws_code)) { /* the step retries at its own pace */
                failed->class = ERROR_RETRY;
                failed->error = EAGAIN;
                return VERDICT_FAILED;
        }
        return is_accepted(call, reply->status) ? VERDICT_DONE : VERDICT_FAILED;
}

/* Judges a failure without a reply. A failure of TLS or of the network may be retried. A failure to
 * get keys from IMDS is not: it has had its own retries. */
static Verdict judge_failure(int r, const Wait *wait, const Outcome *outcome, const Error *failed)
{
        bool sent = outcome->keys.access_key_id[0];
        return sent && r != -ECANCELED && failed->class == ERROR_RETRY && wait_left_ms(wait) > 0
                       ? VERDICT_LATER
                       : VERDICT_FAILED;
}

/* Waits before the next attempt and returns VERDICT_NOW. Returns VERDICT_FAILED if no attempt or no
 * time is left, and *failed then still says why the last attempt failed; and after a stop. */
static Verdict wait_for_next(Attempts *attempts, const Wait *wait, Error *failed)
{
        uint64_t pause_ms = wait_backoff_ms(BACKOFF_MS, BACKOFF_MAX_MS, attempts->n);
        if (++attempts->n == ATTEMPTS_MAX || (uint64_t) wait_left_ms(wait) <= pause_ms) {
                return VERDICT_FAILED;
        }
        return wait_sleep(wait, pause_ms, failed) < 0 ? VERDICT_FAILED : VERDICT_NOW;
}

/* Sets *err to *failed, or to AWS's answer in an earlier attempt if *failed is a timeout, which
 * says less. */
static int give_reason(const Error *failed, const Error *said, Error *err)
{
        bool mute = failed->error == ETIMEDOUT && said->http_status;
        *err = mute ? *said : *failed;
        return err->error ? -err->error : -EIO;
}

static void name_call(const AwsCall *call, Error *failed)
{
        const char *on = call->resource ? " on " : "", *resource = strempty(call->resource);
        (void) error_prefix(failed, "%s:%s%s%s", call->service, call->operation, on, resource);
}

int aws_client_call(AwsClient *client, const AwsCall *call, const Wait *wait, HttpReply *ret,
                    Error *err)
{
        Attempts attempts = {};
        Error said = {}; /* AWS's error in an earlier attempt */
        for (;;) {
                _cleanup_(outcome_done) Outcome outcome = {};
                Error failed = {};
                Verdict verdict;
                int r = send_once(client, call, wait, &outcome, &failed);
                if (r < 0) {
                        name_call(call, &failed);
                        verdict = judge_failure(r, wait, &outcome, &failed);
                } else {
                        verdict = judge_reply(client, call, &outcome, &attempts, &failed);
                }
                if (verdict == VERDICT_DONE) {
                        *ret = outcome.reply;
                        outcome.reply = (HttpReply) {};
                        return 0;
                }
                if (verdict == VERDICT_LATER) {
                        verdict = wait_for_next(&attempts, wait, &failed);
                }
                if (verdict == VERDICT_FAILED) {
                        return give_reason(&failed, &said, err);
                }
                if (failed.http_status) {
                        said = failed;
                }
        }
}
