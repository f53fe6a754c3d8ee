/* SPDX-License-Identifier: Apache-2.0 */
#include "host/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/effect.h"
#include "base/file.h"
#include "host/http_internal.h"

#define TIMEOUT_MS_DEFAULT         30000
#define CONNECT_TIMEOUT_MS_DEFAULT 5000
#define HEADER_BYTES_MAX           ((size_t) 64 << 10)

/* The system's certificates, as links named after their subjects, so that only the signer's is
 * read. Debian's update-ca-certificates makes the links. */
#define AUTHORITIES "/etc/ssl/certs"

#define RESOLV_CONF     "/etc/resolv.conf"
#define RESOLV_CONF_MAX ((size_t) 16 << 10)

/* When an Elastic IP moves, its open connections break, and neither end is told. The kernel gives
 * up on a connection after this time without an acknowledgement. libcurl then retries the request
 * on a new connection, if the dead one was a reused one. */
#define UNACKNOWLEDGED_MS_MAX 10000

DEFINE_CLEANUP(struct curl_slist *, curl_slist_free_all);

/* libcurl's handles of one thread. The multi handle holds the connections, so each thread has its
 * own few. */
typedef struct HttpSession {
        CURLM *multi;
        CURL *easy;
} HttpSession;

/* The state of an exchange, which the callbacks fill. */
typedef struct Exchange {
        const HttpRequest *request;
        HttpReply reply;
        size_t header_bytes;
        int error; /* negative errno of a callback that ended the transfer */
} Exchange;

static pthread_key_t session_key;
static CURLSH *share;

static const struct {
        CURLcode code;
        ErrorClass class;
        int error;
} curl_classes[] = {
        { CURLE_COULDNT_RESOLVE_HOST, ERROR_RETRY, EHOSTUNREACH },
        { CURLE_COULDNT_CONNECT, ERROR_RETRY, ECONNREFUSED },
        { CURLE_OPERATION_TIMEDOUT, ERROR_RETRY, ETIMEDOUT },
        { CURLE_ABORTED_BY_CALLBACK, ERROR_RETRY, ECANCELED },
        { CURLE_GOT_NOTHING, ERROR_RETRY, ECONNRESET },
        { CURLE_SEND_ERROR, ERROR_RETRY, ECONNRESET },
        { CURLE_RECV_ERROR, ERROR_RETRY, ECONNRESET },
        { CURLE_PARTIAL_FILE, ERROR_RETRY, ECONNRESET },
        { CURLE_SSL_CONNECT_ERROR, ERROR_RETRY, EPROTO },
        { CURLE_HTTP2, ERROR_RETRY, EPROTO },
        { CURLE_HTTP2_STREAM, ERROR_RETRY, ECONNRESET },
        { CURLE_WEIRD_SERVER_REPLY, ERROR_RETRY, EBADMSG },
        { CURLE_UNSUPPORTED_PROTOCOL, ERROR_RETRY, EBADMSG }, /* also: not an HTTP reply */
        { CURLE_OUT_OF_MEMORY, ERROR_RETRY, ENOMEM },
        /* The certificate may be fine and our clock not yet set. */
        { CURLE_PEER_FAILED_VERIFICATION, ERROR_RETRY, EKEYREJECTED },
        { CURLE_URL_MALFORMAT, ERROR_CONFIG, EINVAL },
        { CURLE_SSL_CACERT_BADFILE, ERROR_CONFIG, EINVAL },
        { CURLE_SSL_CERTPROBLEM, ERROR_CONFIG, EINVAL },
        { CURLE_SSL_CLIENTCERT, ERROR_DENIED, EACCES },
        { CURLE_FILESIZE_EXCEEDED, ERROR_FATAL, EFBIG },
};

ErrorClass http_class_from_curl(int code, int *ret_errno)
{
        FOREACH_ARRAY(row, curl_classes, ELEMENTS(curl_classes)) {
                if ((int) row->code == code) {
                        *ret_errno = row->error;
                        return row->class;
                }
        }
        *ret_errno = EIO;
        return ERROR_FATAL;
}

static void session_free(void *p)
{
        HttpSession *session = p;
        curl_easy_cleanup(session->easy);
        (void) curl_multi_cleanup(session->multi); /* fails only for an invalid handle */
        free(session);
}

int http_init(Error *err)
{
        /* OpenSSL may write to a socket that the peer has closed. libcurl does not protect us from
         * SIGPIPE, because its own signal handling is off. */
        if (signal(SIGPIPE, SIG_IGN) == SIG_ERR) {
                return error_errno(err, errno, "ignore SIGPIPE");
        }
        CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT);
        if (code != CURLE_OK) {
                return error_set(err, ERROR_FATAL, EIO, "libcurl: %s", curl_easy_strerror(code));
        }
        int r = http_share_new(&share, err);
        if (r == 0) {
                int error = pthread_key_create(&session_key, session_free);
                r = error ? error_errno(err, error, "create a thread key") : 0;
        }
        if (r < 0) {
                http_share_free(TAKE(share));
                curl_global_cleanup();
        }
        return r;
}

void http_done(void)
{
        HttpSession *session = pthread_getspecific(session_key);
        if (session) {
                session_free(session);
        }
        (void) pthread_key_delete(session_key); /* made by http_init() */
        http_share_free(TAKE(share));           /* other threads' sessions ended with them */
        curl_global_cleanup();
}

static HttpSession *session_get(void)
{
        HttpSession *session = pthread_getspecific(session_key);
        if (session) {
                return session;
        }
        session = calloc(1, sizeof(*session));
        if (!session) {
                return NULL;
        }
        session->multi = curl_multi_init();
        session->easy = curl_easy_init();
        if (!session->multi || !session->easy ||
            curl_easy_setopt(session->easy, CURLOPT_SHARE, share) != CURLE_OK ||
            pthread_setspecific(session_key, session) != 0) {
                session_free(session);
                return NULL;
        }
        return session;
}

static curl_socket_t socket_open(void *userdata, curlsocktype purpose,
                                 struct curl_sockaddr *address)
{
        (void) userdata;
        (void) purpose;
        const unsigned limit = UNACKNOWLEDGED_MS_MAX;
        int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
        if (fd >= 0 && address->family != AF_UNIX) {
                /* If this fails, a dead connection costs the whole timeout, no more. */
                (void) setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &limit, sizeof(limit));
        }
        return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static size_t body_received(char *data, size_t size, size_t n, void *userdata)
{
        Exchange *exchange = userdata;
        exchange->error = buffer_append(&exchange->reply.body, data, size * n);
        return exchange->error < 0 ? 0 : size * n;
}

static void headers_clear(HttpReply *reply)
{
        FOREACH_ARRAY(header, reply->headers, reply->n_headers) {
                free(TAKE(header->name));
                free(TAKE(header->value));
        }
        reply->n_headers = 0;
}

/* Adds a header line, "Name: value\r\n". Ignores lines that are no header (the status line, the
 * empty last line). */
static int header_add(HttpReply *reply, const char *line, size_t n)
{
        const char *colon = memchr(line, ':', n);
        if (!colon || colon == line || reply->n_headers == HTTP_HEADERS_MAX) {
                return 0;
        }
        const char *value = colon + 1, *end = line + n;
        while (value < end && isspace((unsigned char) *value)) {
                value++;
        }
        HttpHeader header = {
                .name = strndup(line, (size_t) (colon - line)),
                .value = strndup(value, (size_t) (end - value)),
        };
        if (!header.name || !header.value) {
                free(header.name);
                free(header.value);
                return -ENOMEM;
        }
        for (char *p = header.name; *p; p++) {
                *p = (char) tolower((unsigned char) *p);
        }
        (void) string_strip_end(header.value);
        reply->headers[reply->n_headers++] = header;
        return 0;
}

static size_t header_received(char *data, size_t size, size_t n, void *userdata)
{
        Exchange *exchange = userdata;
        exchange->header_bytes += size * n;
        if (exchange->header_bytes > HEADER_BYTES_MAX) {
                exchange->error = -EFBIG;
                return 0;
        }
        if (size * n > 5 && memcmp(data, "HTTP/", 5) == 0) {
                headers_clear(&exchange->reply); /* the earlier ones belong to an interim reply */
                return size * n;
        }
        exchange->error = header_add(&exchange->reply, data, size * n);
        return exchange->error < 0 ? 0 : size * n;
}

static int list_append(struct curl_slist **list, const char *line)
{
        struct curl_slist *longer = curl_slist_append(*list, line);
        if (!longer) {
                return -ENOMEM;
        }
        *list = longer;
        return 0;
}

/* Makes the list of headers. Turns off the headers that libcurl adds to a body, "Expect" and
 * "Content-Type". */
static int headers_make(const HttpRequest *request, struct curl_slist **ret, Error *err)
{
        bool has_type = false;
        _cleanup_(curl_slist_free_allp) struct curl_slist *list = NULL;
        FOREACH_ARRAY(header, request->headers, request->n_headers) {
                if (strpbrk(header->name, "\r\n:;") || strpbrk(header->value, "\r\n")) {
                        return error_set(err, ERROR_FATAL, EINVAL, "malformed header to send: %s",
                                         header->name);
                }
                has_type = has_type || strcasecmp(header->name, "content-type") == 0;
                _cleanup_buffer_ Buffer line = { .wipe = true }; /* may be an authorization */
                int r = *header->value
                                ? buffer_append_format(&line, "%s: %s", header->name, header->value)
                                : buffer_append_format(&line, "%s;", header->name);
                if (r < 0 || list_append(&list, line.data) < 0) {
                        return error_oom(err);
                }
        }
        if (list_append(&list, "Expect:") < 0 ||
            (!has_type && list_append(&list, "Content-Type:") < 0)) {
                return error_oom(err);
        }
        *ret = TAKE(list);
        return 0;
}

#define SET(option, value) (code = code != CURLE_OK ? code : curl_easy_setopt(easy, option, value))

static CURLcode setup_method(CURL *easy, const HttpRequest *request)
{
        CURLcode code = CURLE_OK;
        if (streq(request->method, "HEAD")) {
                return SET(CURLOPT_NOBODY, 1L);
        }
        if (request->body || streq(request->method, "POST") || streq(request->method, "PUT")) {
                SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) request->body_size);
                SET(CURLOPT_POSTFIELDS, strempty(request->body));
        }
        return SET(CURLOPT_CUSTOMREQUEST, request->method);
}

static struct curl_blob pem_blob(const char *pem)
{
        struct curl_blob blob = { .len = strlen(pem), .flags = CURL_BLOB_NOCOPY };
        memcpy(&blob.data, &pem, sizeof(pem)); /* read only, though not declared const */
        return blob;
}

static CURLcode setup_tls(CURL *easy, const HttpTls *tls)
{
        CURLcode code = CURLE_OK;
        SET(CURLOPT_SSLVERSION, (long) CURL_SSLVERSION_TLSv1_2);
        SET(CURLOPT_SSL_VERIFYPEER, 1L);
        SET(CURLOPT_SSL_VERIFYHOST, 2L);
        if (tls->ca_file) {
                SET(CURLOPT_CAINFO, tls->ca_file);
                SET(CURLOPT_CAPATH, NULL); /* else the system's CAs would be accepted too */
        } else {
                /* libcurl's default also reads the file with all certificates. Parsing it takes
                 * 24 ms and 0.8 MB for every connection. */
                SET(CURLOPT_CAPATH, AUTHORITIES);
                SET(CURLOPT_CAINFO, NULL);
        }
        if (tls->cert_pem && tls->key_pem) {
                struct curl_blob cert = pem_blob(tls->cert_pem), key = pem_blob(tls->key_pem);
                SET(CURLOPT_SSLCERT_BLOB, &cert);
                SET(CURLOPT_SSLKEY_BLOB, &key);
        }
        return code;
}

static CURLcode setup(CURL *easy, struct curl_slist *headers, Exchange *exchange)
{
        const HttpRequest *request = exchange->request;
        uint64_t connect_ms = request->connect_timeout_ms ? request->connect_timeout_ms
                                                          : CONNECT_TIMEOUT_MS_DEFAULT;
        CURLcode code = CURLE_OK;
        SET(CURLOPT_URL, request->url);
        SET(CURLOPT_UNIX_SOCKET_PATH, request->unix_socket);
        SET(CURLOPT_PATH_AS_IS, 1L); /* send exactly what was signed */
        SET(CURLOPT_PROTOCOLS_STR, "http,https");
        SET(CURLOPT_HTTP_VERSION,
            (long) (request->http2 ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_1_1));
        /* libcurl before 8.0 cannot send a second request on such a connection
         * (https://github.com/curl/curl/issues/10634). */
        SET(CURLOPT_FORBID_REUSE, (long) request->http2);
        SET(CURLOPT_FOLLOWLOCATION, 0L);
        SET(CURLOPT_NOPROXY, "*");
        SET(CURLOPT_NOSIGNAL, 1L);
        SET(CURLOPT_QUICK_EXIT, 1L); /* a stop does not wait for a resolver's thread */
        SET(CURLOPT_CONNECTTIMEOUT_MS, (long) (connect_ms < INT32_MAX ? connect_ms : INT32_MAX));
        SET(CURLOPT_OPENSOCKETFUNCTION, socket_open);
        SET(CURLOPT_USERAGENT, "kube-bootstrap/" VERSION);
        SET(CURLOPT_HTTPHEADER, headers);
        SET(CURLOPT_HEADERFUNCTION, header_received);
        SET(CURLOPT_HEADERDATA, exchange);
        SET(CURLOPT_WRITEFUNCTION, body_received);
        SET(CURLOPT_WRITEDATA, exchange);
        if (code != CURLE_OK) {
                return code;
        }
        code = setup_tls(easy, &request->tls);
        return code != CURLE_OK ? code : setup_method(easy, request);
}

/* Drives the transfer to its end. Returns 0, or an error when the wait is over. */
static int perform(CURLM *multi, const Wait *wait, Error *err)
{
        int running = 1;
        for (;;) {
                CURLMcode code = curl_multi_perform(multi, &running);
                if (code == CURLM_OK && !running) {
                        return 0;
                }
                int r = wait_check(wait, err);
                if (r < 0) {
                        return r;
                }
                struct curl_waitfd stop = { .fd = wait->stop_fd, .events = CURL_WAIT_POLLIN };
                if (code == CURLM_OK) {
                        code = curl_multi_poll(multi, &stop, wait->stop_fd >= 0, wait_left_ms(wait),
                                               NULL);
                }
                if (code != CURLM_OK) {
                        return error_set(err, ERROR_RETRY, EIO, "libcurl: %s",
                                         curl_multi_strerror(code));
                }
        }
}

/* Lists the servers that /etc/resolv.conf names, as text. */
static void dns_servers(char *ret, size_t size)
{
        _cleanup_buffer_ Buffer text = {};
        size_t used = 0;
        ret[0] = '\0';
        if (file_read(RESOLV_CONF, RESOLV_CONF_MAX, &text, ERROR_IGNORED) < 0 || !text.data) {
                return;
        }
        char *rest = NULL;
        for (char *line = strtok_r(text.data, "\n", &rest); line && used < size;
             line = strtok_r(NULL, "\n", &rest)) {
                char server[64];
                if (sscanf(line, " nameserver %63s", server) == 1) {
                        int n = snprintf(ret + used, size - used, "%s%s", used ? ", " : "", server);
                        used += n > 0 ? (size_t) n : 0;
                }
        }
}

/* Returns the error for a host that has no address. The message names the host and the DNS servers
 * that were asked, because only they know the reason. */
static int resolve_failed(const HttpRequest *request, int error, const char *why, Error *err)
{
        char servers[128];
        const char *host = strstr(request->url, "://");
        host = host ? host + 3 : request->url;
        dns_servers(servers, sizeof(servers));
        return error_set(err, ERROR_RETRY, error,
                         "resolve %.*s: %s (DNS server: %s, as %s says): check that it can be "
                         "reached; in a VPC, that DNS support is on and which DHCP options it has",
                         (int) strcspn(host, ":/?"), host, why, isempty(servers) ? "none" : servers,
                         RESOLV_CONF);
}

/* Returns true while the host has no address yet. A host written in numbers needs no DNS. */
static bool is_resolving(CURL *easy, const HttpRequest *request)
{
        curl_off_t resolved_us = 0, connected_us = 0;
        const char *host = strstr(request->url, "://");
        bool is_name = host && isalpha((unsigned char) host[3]);
        (void) curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME_T, &resolved_us);
        (void) curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
        return !request->unix_socket && is_name && !resolved_us && !connected_us;
}

/* Returns what the exchange was doing when its timeout came, for a message. */
static const char *phase(CURL *easy)
{
        curl_off_t connected_us = 0, begun_us = 0;
        (void) curl_easy_getinfo(easy, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
        (void) curl_easy_getinfo(easy, CURLINFO_STARTTRANSFER_TIME_T, &begun_us);
        if (!connected_us) {
                return "connecting";
        }
        return !begun_us ? "waiting for a reply" : "in the reply";
}

/* Returns the length of libcurl's text before " after 3061 ms". A message that differs each time
 * would be reported each time. */
static int length_without_duration(const char *text)
{
        const char *after = strstr(text, " after ");
        return (int) (after && isdigit((unsigned char) after[7]) ? after - text
                                                                 : (long) strlen(text));
}

static int curl_failed(CURL *easy, CURLcode code, const char *text, const Exchange *exchange,
                       Error *err)
{
        if (exchange->error == -ENOMEM) {
                return error_oom(err);
        }
        if (exchange->error == -EFBIG) {
                return error_set(err, ERROR_FATAL, EFBIG, "reply too large");
        }
        int error;
        long os_error = 0;
        ErrorClass class = http_class_from_curl((int) code, &error);
        if (code == CURLE_COULDNT_CONNECT &&
            curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os_error) == CURLE_OK && os_error > 0) {
                error = (int) os_error;
                class = error == EACCES || error == EPERM ? ERROR_DENIED : class;
                const char *socket = exchange->request->unix_socket;
                text = socket ? socket : text;
                return error_set(err, class, error, "%.*s: %s", length_without_duration(text), text,
                                 strerror(error));
        }
        if (code == CURLE_COULDNT_RESOLVE_HOST) {
                return resolve_failed(exchange->request, error, "no address", err);
        }
        if (code == CURLE_OPERATION_TIMEDOUT && is_resolving(easy, exchange->request)) {
                return resolve_failed(exchange->request, error, "no answer", err);
        }
        text = *text ? text : curl_easy_strerror(code);
        return error_set(err, class, error, "%.*s", length_without_duration(text), text);
}

static int transfer(HttpSession *session, const Wait *wait, const char *text, Exchange *exchange,
                    Error *err)
{
        CURLMcode added = curl_multi_add_handle(session->multi, session->easy);
        if (added != CURLM_OK) {
                return error_set(err, ERROR_RETRY, EIO, "libcurl: %s", curl_multi_strerror(added));
        }
        CURLcode code = CURLE_OK;
        int left, r = perform(session->multi, wait, err);
        if (r == -ETIMEDOUT && is_resolving(session->easy, exchange->request)) {
                (void) resolve_failed(exchange->request, ETIMEDOUT, "no answer", err);
        } else if (r == -ETIMEDOUT) {
                (void) error_prefix(err, "%s", phase(session->easy));
        }
        for (CURLMsg *m; (m = curl_multi_info_read(session->multi, &left));) {
                code = m->msg == CURLMSG_DONE ? m->data.result : code;
        }
        if (r == 0 && code != CURLE_OK) {
                r = curl_failed(session->easy, code, text, exchange, err);
        }
        long status = 0;
        (void) curl_easy_getinfo(session->easy, CURLINFO_RESPONSE_CODE, &status);
        exchange->reply.status = (int) status;
        /* Ends an unfinished transfer, closes its connection. Fails only for an invalid handle. */
        (void) curl_multi_remove_handle(session->multi, session->easy);
        return r;
}

static int exchange_run(Exchange *exchange, const Wait *wait, Error *err)
{
        const HttpRequest *request = exchange->request;
        HttpSession *session = session_get();
        if (!session) {
                return error_oom(err);
        }
        _cleanup_(curl_slist_free_allp) struct curl_slist *headers = NULL;
        int r = headers_make(request, &headers, err);
        if (r < 0) {
                return r;
        }
        char text[CURL_ERROR_SIZE] = "";
        exchange->reply.body.wipe = request->secret_reply;
        exchange->reply.body.max = request->reply_max ? request->reply_max : HTTP_REPLY_MAX_DEFAULT;
        if (buffer_append(&exchange->reply.body, "", 0) < 0) {
                return error_oom(err);
        }
        CURLcode code = setup(session->easy, headers, exchange);
        if (code == CURLE_OK) {
                code = curl_easy_setopt(session->easy, CURLOPT_ERRORBUFFER, text);
        }
        r = code == CURLE_OK ? transfer(session, wait, text, exchange, err)
                             : curl_failed(session->easy, code, text, exchange, err);
        curl_easy_reset(session->easy); /* drops this request's options, keeps the connections */
        return r;
}

int http_exchange(const HttpRequest *request, const Wait *wait, HttpReply *ret, Error *err)
{
        _cleanup_free_ char *named = NULL;
        if (!request->effect) {
                /* The message omits the query, which may hold more than a message may show. */
                named = string_format("%s %.*s", request->method, (int) strcspn(request->url, "?"),
                                      request->url);
                if (!named) {
                        return error_oom(err);
                }
        }
        const char *effect = request->effect ? request->effect : named;
        Wait part = wait_part(wait, request->timeout_ms ? request->timeout_ms : TIMEOUT_MS_DEFAULT);
        Exchange exchange = { .request = request };
        int r = wait_check(&part, err);
        if (r == 0) {
                Effect announced = effect_before("http", effect);
                r = exchange_run(&exchange, &part, err);
                char status[32];
                (void) snprintf(status, sizeof(status), "HTTP status %d", exchange.reply.status);
                effect_after(&announced, r, r < 0 ? NULL : status);
        }
        if (r < 0) {
                http_reply_done(&exchange.reply);
                (void) error_prefix(err, "%s", effect);
                return r;
        }
        const char *date = http_reply_header(&exchange.reply, "date");
        time_t seconds = date ? curl_getdate(date, NULL) : -1;
        exchange.reply.date = seconds > 0 ? seconds : 0;
        *ret = exchange.reply;
        return 0;
}

const char *http_reply_header(const HttpReply *reply, const char *name)
{
        FOREACH_ARRAY(header, reply->headers, reply->n_headers) {
                if (streq_ptr(header->name, name)) {
                        return header->value;
                }
        }
        return NULL;
}

void http_reply_done(HttpReply *reply)
{
        headers_clear(reply);
        buffer_done(&reply->body);
}
