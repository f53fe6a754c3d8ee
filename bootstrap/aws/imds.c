/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/imds.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aws/imds_internal.h"
#include "base/secret.h"
#include "host/http.h"

#define ADDRESS_V4 "http://169.254.169.254"
#define ADDRESS_V6 "http://[fd00:ec2::254]"
/* https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html#instance-metadata-versions
 */
#define VERSION_PATH "2021-07-15"

#define TOKEN_TTL_S  "21600"
#define REPLY_MAX    ((size_t) 64 << 10)
#define ENDPOINT_MAX 256

struct Imds {
        char endpoints[2][ENDPOINT_MAX];
        size_t n_endpoints;
        pthread_mutex_t mutex;
        size_t current; /* the endpoint that answered last, or the next to try */
        bool answered;
        Secret token; /* empty: none */
        unsigned token_number;
};

int imds_new_at(const char *const *endpoints, size_t n, Imds **ret, Error *err)
{
        Imds *imds = calloc(1, sizeof(*imds));
        if (!imds) {
                return error_oom(err);
        }
        for (size_t i = 0; i < n && i < ELEMENTS(imds->endpoints); i++) {
                const char *given = endpoints[i];
                size_t length = strlen(given);
                while (length > 0 && given[length - 1] == '/') {
                        length--;
                }
                if (length >= ENDPOINT_MAX || strpbrk(given, " ?#@") ||
                    !(string_starts_with(given, "http://") ||
                      string_starts_with(given, "https://"))) {
                        free(imds);
                        return error_set(err, ERROR_CONFIG, EINVAL,
                                         "AWS_EC2_METADATA_SERVICE_ENDPOINT: \"%.200s\" is no "
                                         "http:// address",
                                         given);
                }
                (void) snprintf(imds->endpoints[imds->n_endpoints++], ENDPOINT_MAX, "%.*s",
                                (int) length, given);
        }
        imds->token = SECRET_INIT;
        (void) pthread_mutex_init(&imds->mutex, NULL); /* cannot fail with default attributes */
        *ret = imds;
        return 0;
}

int imds_new(const char *endpoint, Imds **ret, Error *err)
{
        const char *const both[] = { ADDRESS_V4, ADDRESS_V6 };
        const char *variable = getenv("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        const char *given = endpoint ? endpoint : variable;
        return isempty(given) ? imds_new_at(both, ELEMENTS(both), ret, err)
                              : imds_new_at(&given, 1, ret, err);
}

void imds_free(Imds *imds)
{
        if (imds) {
                buffer_done(&imds->token);
                (void) pthread_mutex_destroy(&imds->mutex);
                free(imds);
        }
}

/* Copies the beginning of a reply's body, made printable for a message. */
static void beginning(const HttpReply *reply, char ret[96])
{
        size_t n = 0;
        for (const char *p = reply->body.data; p && *p && n < 90; p++) {
                bool plain = *p > ' ' && *p <= '~';
                if (plain || (n > 0 && ret[n - 1] != ' ')) {
                        ret[n++] = plain ? *p : ' ';
                }
        }
        ret[n] = '\0';
}

static int refuse_reply(const HttpReply *reply, const char *what, Error *err)
{
        char text[96];
        beginning(reply, text);
        if (reply->status >= 200 && reply->status < 300) {
                return error_from_aws(
                        err, error_set(err, ERROR_CONFIG, EBADMSG,
                                       "instance metadata: %s: something else answers at its "
                                       "address: \"%s\"",
                                       what, text));
        }
        bool passing = reply->status == 429 || reply->status >= 500;
        ErrorClass class = reply->status == 401 ? ERROR_DENIED : ERROR_CONFIG;
        if (passing) {
                class = ERROR_RETRY;
        }
        int r = error_set(err, class, passing ? EAGAIN : EACCES,
                          "instance metadata: %s: HTTP status %d: \"%s\"", what, reply->status,
                          text);
        err->http_status = reply->status;
        return error_from_aws(err, r);
}

static bool is_page(const HttpReply *reply)
{
        const char *type = http_reply_header(reply, "content-type");
        return (type && strstr(type, "html")) || imds_is_markup(reply->body.data, reply->body.size);
}

/* Sends one request to the current endpoint. If no reply comes, the next endpoint becomes
 * current. */
static int imds_exchange(Imds *imds, const char *method, const char *path, const HttpHeader *header,
                         const Wait *wait, HttpReply *ret, Error *err)
{
        char url[ENDPOINT_MAX + 256], effect[320];
        (void) pthread_mutex_lock(&imds->mutex);
        size_t current = imds->current;
        (void) pthread_mutex_unlock(&imds->mutex);
        int n = snprintf(url, sizeof(url), "%s/%s", imds->endpoints[current], path);
        if (n < 0 || (size_t) n >= sizeof(url)) {
                return error_set(err, ERROR_FATAL, ENAMETOOLONG, "instance metadata: path %s",
                                 path);
        }
        (void) snprintf(effect, sizeof(effect), "imds %s %s", method, path);
        HttpRequest request = {
                .method = method,
                .url = url,
                .headers = header,
                .n_headers = 1,
                .timeout_ms = 3000,
                .connect_timeout_ms = 1000,
                .reply_max = REPLY_MAX,
                .secret_reply = true,
                .effect = effect,
        };
        int r = http_exchange(&request, wait, ret, err);
        (void) pthread_mutex_lock(&imds->mutex);
        imds->answered |= r >= 0;
        if (r < 0 && r != -ECANCELED && imds->current == current) {
                imds->current = (current + 1) % imds->n_endpoints;
        }
        (void) pthread_mutex_unlock(&imds->mutex);
        return r;
}

static int token_fetch(Imds *imds, const Wait *wait, Error *err)
{
        char name[] = "X-aws-ec2-metadata-token-ttl-seconds", ttl[] = TOKEN_TTL_S, word[512];
        HttpHeader header = { name, ttl };
        _cleanup_http_reply_ HttpReply reply = {};
        int r = imds_exchange(imds, "PUT", "latest/api/token", &header, wait, &reply, err);
        if (r < 0) {
                return r;
        }
        if (reply.status == 403) {
                r = error_set(err, ERROR_CONFIG, EACCES,
                              "instance metadata is disabled on this instance (HTTP status 403 for "
                              "a session token): set HttpEndpoint to enabled in its metadata "
                              "options");
                err->http_status = 403;
                return error_from_aws(err, r);
        }
        if (reply.status != 200 || is_page(&reply) ||
            !imds_copy_word(reply.body.data, reply.body.size, word, sizeof(word))) {
                return refuse_reply(&reply, "session token (PUT /latest/api/token)", err);
        }
        (void) pthread_mutex_lock(&imds->mutex);
        buffer_done(&imds->token);
        r = buffer_append_string(&imds->token, word);
        imds->token_number++;
        (void) pthread_mutex_unlock(&imds->mutex);
        explicit_bzero(word, sizeof(word));
        return r < 0 ? error_oom(err) : 0;
}

/* Returns a copy of the token, and its number. Two threads may fetch one at the same time: both
 * tokens are valid. */
static int token_get(Imds *imds, const Wait *wait, Secret *ret, unsigned *ret_number, Error *err)
{
        for (bool fetched = false;; fetched = true) {
                (void) pthread_mutex_lock(&imds->mutex);
                bool known = imds->token.size > 0;
                int r = known ? buffer_append(ret, imds->token.data, imds->token.size) : 0;
                *ret_number = imds->token_number;
                (void) pthread_mutex_unlock(&imds->mutex);
                if (r < 0) {
                        return error_oom(err);
                }
                if (known) {
                        return 0;
                }
                if (fetched) { /* another thread dropped it: IMDS refused it there */
                        return error_set(err, ERROR_RETRY, EAGAIN,
                                         "instance metadata: the session token was lost");
                }
                r = token_fetch(imds, wait, err);
                if (r < 0) {
                        return r;
                }
        }
}

static void token_drop(Imds *imds, unsigned number)
{
        (void) pthread_mutex_lock(&imds->mutex);
        if (imds->token_number == number) {
                buffer_done(&imds->token);
        }
        (void) pthread_mutex_unlock(&imds->mutex);
}

/* Reads a path with a token. After the first 401 the token is renewed and the read is repeated
 * once; a reply with any other status is returned. */
static int get_reply(Imds *imds, const char *path, const Wait *wait, HttpReply *ret, Error *err)
{
        char full[256], name[] = "X-aws-ec2-metadata-token";
        int n = snprintf(full, sizeof(full), "%s/%s", VERSION_PATH, path);
        if (n < 0 || (size_t) n >= sizeof(full)) {
                return error_set(err, ERROR_FATAL, ENAMETOOLONG, "instance metadata: path %s",
                                 path);
        }
        for (bool renewed = false;; renewed = true) {
                _cleanup_secret_ Secret token = SECRET_INIT;
                unsigned number;
                int r = token_get(imds, wait, &token, &number, err);
                if (r < 0) {
                        return r;
                }
                HttpHeader header = { name, token.data };
                r = imds_exchange(imds, "GET", full, &header, wait, ret, err);
                if (r < 0 || ret->status != 401 || renewed) {
                        return r;
                }
                http_reply_done(ret);
                token_drop(imds, number);
        }
}

/* Reports that no reply came. The message suggests the instance's metadata options as the reason
 * only if no reply ever came. */
static int unreachable(Imds *imds, const char *path, uint64_t since_ms, Error *err)
{
        char last[256];
        (void) snprintf(last, sizeof(last), "%.250s", err->message);
        (void) pthread_mutex_lock(&imds->mutex);
        bool answered = imds->answered;
        (void) pthread_mutex_unlock(&imds->mutex);
        if (answered) {
                return error_set(err, ERROR_RETRY, ETIMEDOUT,
                                 "instance metadata: %s: no reply after %.1f s (%s), though it "
                                 "has answered before",
                                 path, (double) (wait_now_ms() - since_ms) / 1000, last);
        }
        bool two = imds->n_endpoints > 1;
        const char * or = two ? " or " : "";
        const char *second = two ? imds->endpoints[1] : "";
        return error_set(
                err, ERROR_RETRY, ETIMEDOUT,
                "instance metadata: nobody answers at %s%s%s after %.1f s (%s): check that "
                "the instance's metadata options have HttpEndpoint enabled and a hop limit "
                "that reaches here, and that no route or firewall is in the way",
                imds->endpoints[0], or, second, (double) (wait_now_ms() - since_ms) / 1000, last);
}

int imds_get(Imds *imds, const char *path, const Wait *wait, Buffer *ret, Error *err)
{
        _cleanup_http_reply_ HttpReply reply = {};
        uint64_t start_ms = wait_now_ms();
        Error said = {}; /* error of the last attempt that the deadline did not cut */
        for (unsigned attempt = 0;; attempt++) {
                Error failed = {};
                int r = get_reply(imds, path, wait, &reply, &failed);
                if (r == 0) {
                        break;
                }
                if (failed.http_status || failed.class != ERROR_RETRY || r == -ECANCELED) {
                        *err = failed;
                        return r; /* an answer came, or a retry does not help */
                }
                if (attempt == 0 || wait_left_ms(wait) > 0) {
                        said = failed;
                }
                r = wait_sleep(wait, wait_backoff_ms(200, 5000, attempt), err);
                if (r == -ECANCELED) {
                        return r;
                }
                if (r < 0) {
                        *err = said;
                        return unreachable(imds, path, start_ms, err);
                }
        }
        if (reply.status == 404) {
                return 0;
        }
        if (reply.status != 200 || is_page(&reply)) {
                return refuse_reply(&reply, path, err);
        }
        int r = buffer_append(ret, reply.body.data, reply.body.size);
        if (r == -ENOMEM) {
                return error_oom(err);
        }
        if (r < 0) {
                return error_set(err, ERROR_CONFIG, EFBIG,
                                 "instance metadata: %s is longer than expected", path);
        }
        return 1;
}

int imds_get_word(Imds *imds, const char *path, const Wait *wait, char *ret, size_t size,
                  Error *err)
{
        _cleanup_buffer_ Buffer text = { .max = REPLY_MAX };
        int r = imds_get(imds, path, wait, &text, err);
        if (r < 0) {
                return r;
        }
        if (r == 0) {
                return error_set(err, ERROR_RETRY, ENOENT, "instance metadata: there is no %s",
                                 path);
        }
        if (!imds_copy_word(text.data, text.size, ret, size)) {
                return error_set(err, ERROR_CONFIG, EBADMSG,
                                 "instance metadata: %s is not one word of at most %zu characters",
                                 path, size - 1);
        }
        return 0;
}
