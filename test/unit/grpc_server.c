/* SPDX-License-Identifier: Apache-2.0 */
#include "grpc_server.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PREFACE_BYTES 24 /* RFC 9113, 3.4 */
#define HEAD_BYTES    9  /* of a frame: RFC 9113, 4.1 */
#define STREAM        1  /* a client's first */

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4 };
enum { END_STREAM = 1, END_HEADERS = 4 };

static void must(int r)
{
        if (r < 0) {
                abort();
        }
}

static void append_frame(Buffer *out, int type, int flags, uint32_t stream, const void *payload,
                         size_t n)
{
        const unsigned char head[HEAD_BYTES] = { (unsigned char) (n >> 16),
                                                 (unsigned char) (n >> 8),
                                                 (unsigned char) n,
                                                 (unsigned char) type,
                                                 (unsigned char) flags,
                                                 0,
                                                 0,
                                                 0,
                                                 (unsigned char) stream };
        must(buffer_append(out, head, sizeof(head)));
        must(buffer_append(out, payload, n));
}

/* A literal header without an index, of less than 127 bytes each (RFC 7541, 6.2.2). */
static void append_header(Buffer *block, const char *name, const char *value)
{
        if (value) {
                must(buffer_append_format(block, "%c%c%s%c%s", 0, (int) strlen(name), name,
                                          (int) strlen(value), value));
        }
}

static void append_code(Buffer *block, const GrpcReply *reply)
{
        append_header(block, "grpc-status", reply->code);
        append_header(block, "grpc-message", reply->reason);
}

static void append_reply(Buffer *out, const GrpcReply *reply)
{
        _cleanup_buffer_ Buffer head = {}, trailers = {};
        bool has_message = reply->message;
        must(buffer_append(&head, "\x88", 1)); /* ":status: 200" */
        append_header(&head, "content-type", "application/grpc");
        append_code(has_message ? &trailers : &head, reply);
        if (reply->reset) {
                const unsigned char error[] = { 0, 0, 0, (unsigned char) reply->reset };
                append_frame(out, RST_STREAM, 0, STREAM, error, sizeof(error));
                return;
        }
        append_frame(out, HEADERS, has_message ? END_HEADERS : END_HEADERS | END_STREAM, STREAM,
                     head.data, head.size);
        if (has_message) {
                append_frame(out, DATA, 0, STREAM, reply->message, reply->size);
        }
        if (has_message && !reply->cut) {
                append_frame(out, HEADERS, END_HEADERS | END_STREAM, STREAM, trailers.data,
                             trailers.size);
        }
}

static bool receive(int fd, void *ret, size_t n)
{
        return n == 0 || recv(fd, ret, n, MSG_WAITALL) == (ssize_t) n;
}

/* Receives frames up to the end of the request, and keeps its body. */
static void receive_request(int fd, Buffer *body)
{
        unsigned char head[HEAD_BYTES], payload[16384];
        bool more = receive(fd, payload, PREFACE_BYTES);
        while (more && receive(fd, head, sizeof(head))) {
                size_t n = (size_t) head[0] << 16 | (size_t) head[1] << 8 | head[2];
                if (n > sizeof(payload) || !receive(fd, payload, n)) {
                        return;
                }
                if (head[3] == DATA) {
                        must(buffer_append(body, payload, n));
                }
                more = !((head[3] == DATA || head[3] == HEADERS) && head[4] & END_STREAM);
        }
}

static void *serve(void *userdata)
{
        GrpcServer *server = userdata;
        for (size_t i = 0; i < server->n_script; i++) {
                char rest[4096];
                _cleanup_buffer_ Buffer out = {};
                _cleanup_close_ int fd = accept(server->fd, NULL, NULL);
                if (fd < 0) { /* grpc_server_stop() */
                        return NULL;
                }
                server->n_requests++;
                append_frame(&out, SETTINGS, 0, 0, NULL, 0);
                append_reply(&out, &server->script[i]);
                receive_request(fd, &server->requests[i]);
                (void) send(fd, out.data, out.size, MSG_NOSIGNAL);
                if (server->script[i].cut) {
                        (void) shutdown(fd, SHUT_WR);
                }
                while (recv(fd, rest, sizeof(rest), 0) > 0) {}
        }
        return NULL;
}

void grpc_server_start(GrpcServer *server, const char *path, const GrpcReply *script, size_t n)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        *server = (GrpcServer) { .script = script, .n_script = n };
        (void) unlink(path);
        server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (n > GRPC_SCRIPT_MAX ||
            bind(server->fd, (struct sockaddr *) &address, sizeof(address)) < 0 ||
            listen(server->fd, 16) < 0 ||
            pthread_create(&server->thread, NULL, serve, server) != 0) {
                abort();
        }
}

void grpc_server_stop(GrpcServer *server)
{
        (void) shutdown(server->fd, SHUT_RDWR); /* wakes accept(2) */
        (void) pthread_join(server->thread, NULL);
        (void) close(server->fd);
        FOREACH_ARRAY(request, server->requests, ELEMENTS(server->requests)) {
                buffer_done(request);
        }
}
