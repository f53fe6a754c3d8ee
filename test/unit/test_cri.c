/* SPDX-License-Identifier: Apache-2.0 */
#include "host/cri.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "grpc_server.h"
#include "harness.h"
#include "host/cri_internal.h"
#include "host/grpc.h"
#include "host/http.h"
#include "local_daemon.h"
#include "loopback_server.h"

/* Replies that three containerds gave, and replies that none would give; then the calls, to a
 * containerd of the test's own, with all that it has below one folder. */

#define CONTAINERD "/usr/bin/containerd"
#define CTR        "/usr/bin/ctr"
#define IMAGE      "example.test/pause:9.9"
#define BIN_DIR    "/opt/test/bin"

static char folder[96], cri_socket[128], conf_dir[128], local_socket[128], scripted_socket[128];

/* Replies. */

static HttpReply make_reply(int status, const void *body, size_t n)
{
        HttpReply reply = { .status = status };
        if (buffer_append(&reply.body, body, n) < 0) {
                abort();
        }
        return reply;
}

static void add_header(HttpReply *reply, const char *name, const char *value)
{
        reply->headers[reply->n_headers++] = (HttpHeader) { strdup(name), strdup(value) };
}

/* Reads a reply with that grpc-status (NULL: none) and body. */
static int read_reply(int status, const char *code, const void *body, size_t n, GrpcAnswer *ret,
                      Error *err)
{
        _cleanup_http_reply_ HttpReply reply = make_reply(status, body, n);
        if (code) {
                add_header(&reply, "grpc-status", code);
        }
        return grpc_read_reply(&reply, ret, err);
}

#define READ(status, code, body, ret, err) \
        read_reply(status, code, body, sizeof(body) - 1, ret, err)

static void test_framing(void)
{
        Error err = {};
        _cleanup_grpc_answer_ GrpcAnswer answer = {}, empty = {}, large = {};
        CHECK_OK(READ(200, "0", "\0\0\0\0\3abc", &answer, &err), err);
        CHECK_INT(answer.code, GRPC_OK);
        CHECK_STR(answer.message.data, "abc");
        CHECK(answer.message.wipe);
        CHECK_OK(READ(200, "0", "\0\0\0\0\0", &empty, &err), err);
        CHECK_INT(empty.message.size, 0);
        static char body[5 + 0x010203] = { 0, 0, 1, 2, 3 };
        CHECK_OK(read_reply(200, "0", body, sizeof(body), &large, &err), err);
        CHECK_INT(large.message.size, 0x010203);
}

static void test_framing_refused(void)
{
        static const struct {
                ProtobufBytes body;
                const char *says;
        } cases[] = {
                { { "", 0 }, "no message" },
                { { "\0\0\0\0", 4 }, "no message" },
                { { "\1\0\0\0\3abc", 8 }, "compressed" },
                { { "\2\0\0\0\3abc", 8 }, "compressed" },
                { { "\0\0\0\0\3ab", 7 }, "has 2 bytes, not the 3" },
                { { "\0\0\0\0\2abc", 8 }, "has 3 bytes, not the 2" },
                { { "\0\0\0\0\1a\0\0\0\0\1b", 12 }, "has 7 bytes, not the 1" }, /* two messages */
                { { "\0\xff\xff\xff\xff"
                    "abc",
                    8 },
                  "not the 4294967295" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                GrpcAnswer answer = { .code = -7 };
                CHECK_INT(read_reply(200, "0", c->body.data, c->body.size, &answer, &err),
                          -EBADMSG);
                CHECK_INT(err.class, ERROR_RETRY);
                CHECK_CONTAINS(err.message, c->says);
                CHECK_INT(answer.code, -7); /* untouched */
        }
}

static void test_codes(void)
{
        static const struct {
                int status;
                const char *text;
                int code;
        } cases[] = {
                { 200, "12", GRPC_UNIMPLEMENTED }, { 200, "14", GRPC_UNAVAILABLE },
                { 200, "17", GRPC_UNKNOWN },       { 200, "", GRPC_UNKNOWN },
                { 200, "-1", GRPC_UNKNOWN },       { 200, "0 ", GRPC_UNKNOWN },
                { 503, "12", GRPC_UNIMPLEMENTED }, { 503, NULL, GRPC_UNAVAILABLE },
                { 404, NULL, GRPC_UNIMPLEMENTED }, { 403, NULL, GRPC_PERMISSION_DENIED },
                { 418, NULL, GRPC_UNKNOWN },       { 0, NULL, GRPC_UNKNOWN },
        };
        Error err = {};
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                _cleanup_grpc_answer_ GrpcAnswer answer = {};
                /* A body that would do does not make a success of it. */
                CHECK_OK(READ(c->status, c->text, "\0\0\0\0\3abc", &answer, &err), err);
                CHECK_INT(answer.code, c->code);
                CHECK_INT(answer.message.size, 0);
                CHECK(answer.text[0]);
        }
        GrpcAnswer none = {};
        CHECK_INT(READ(200, NULL, "\0\0\0\0\3abc", &none, &err), -EBADMSG); /* it was cut */
        CHECK_CONTAINS(err.message, "no grpc-status");
        int denied = 0, wrong = 0;
        CHECK_INT(grpc_class_from_code(GRPC_PERMISSION_DENIED, &denied), ERROR_DENIED);
        CHECK_INT(denied, EACCES);
        CHECK_INT(grpc_class_from_code(3, &wrong), ERROR_FATAL); /* an argument of ours */
        CHECK_INT(grpc_class_from_code(GRPC_UNAVAILABLE, &wrong), ERROR_RETRY);
        CHECK_INT(grpc_class_from_code(GRPC_CANCELLED, &wrong), ERROR_RETRY);
        for (int code = 1; code < _GRPC_CODE_MAX; code++) {
                int error = 0;
                ErrorClass class = grpc_class_from_code(code, &error);
                CHECK(class >= 0 && class < _ERROR_CLASS_MAX && error > 0);
        }
}

/* The trailer counts, not a header of the same name before it. */
static void test_trailer(void)
{
        Error err = {};
        _cleanup_http_reply_ HttpReply reply = make_reply(200, "\0\0\0\0\0", 5);
        _cleanup_grpc_answer_ GrpcAnswer answer = {};
        add_header(&reply, "grpc-status", "0");
        add_header(&reply, "grpc-status", "13");
        add_header(&reply, "grpc-message", "broken");
        CHECK_OK(grpc_read_reply(&reply, &answer, &err), err);
        CHECK_INT(answer.code, GRPC_INTERNAL);
        CHECK_STR(answer.text, "broken");
}

static void test_reason(void)
{
        static const struct {
                const char *message, *text;
        } cases[] = {
                { "unknown service x", "unknown service x" },
                { "proto:%C2%A0cannot%20parse", "proto:\xc2\xa0"
                                                "cannot parse" },
                { "100%", "100%" },
                { "5%4", "5%4" },
                { "%zz%4g%%41", "%zz%4g%A" },
                { "%c3%A9", "\xc3\xa9" },
                { "a%0ab%1b[1m%00c%7f", "a b [1m c " },
                { "", "HTTP status 200, no reason given" },
        };
        char longest[1024];
        memset(longest, '%', sizeof(longest));
        longest[sizeof(longest) - 1] = '\0';
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                _cleanup_http_reply_ HttpReply reply = make_reply(200, "", 0);
                _cleanup_grpc_answer_ GrpcAnswer answer = {};
                add_header(&reply, "grpc-status", "2");
                add_header(&reply, "grpc-message", c->message);
                CHECK_OK(grpc_read_reply(&reply, &answer, &err), err);
                CHECK_STR(answer.text, c->text);
        }
        Error err = {};
        _cleanup_http_reply_ HttpReply reply = make_reply(200, "", 0);
        _cleanup_grpc_answer_ GrpcAnswer answer = {};
        add_header(&reply, "grpc-status", "2");
        add_header(&reply, "grpc-message", longest);
        CHECK_OK(grpc_read_reply(&reply, &answer, &err), err);
        CHECK_INT(strlen(answer.text), GRPC_TEXT_MAX - 1);
}

/* Messages. Those of test/vectors/cri were recorded by curl from Debian 12's containerd 1.6.20,
 * Debian 13's 1.7.24 and a 2.3.7 built from its module. Each had in its configuration what
 * write_config() writes, 2.3.7 in the form of version 3, there with a second folder,
 * /opt/other/bin, and the image "pinned" by its label. The ids are those that sha256sum gave of the
 * image's configuration. */

static const struct {
        const char *version, *says;
        bool tells_image, tells_pinned;
        const char *id;
} recorded[] = {
        { "1.6.20", "1.6.20~ds1", true, false,
          "sha256:f5a864285fe7c6c5cb1580b3210eac41fded708dc489f68e1ac77dffd69258ef" },
        { "1.7.24", "1.7.24~ds1", true, true,
          "sha256:9e9a5418ed78a5a02c5ac0a90832bf15faf6f41f5d8432ff5d5ed4d826314375" },
        { "2.3.7", "2.3.7+unknown", false, true,
          "sha256:63f9d38319a5e43595cf9cdb41726a62e5c623bbba29b8770b51db1aa5c973d0" },
};

/* Returns the message of a recorded reply. */
static GrpcAnswer recorded_answer(const char *name, const char *version)
{
        char path[128];
        Error err = {};
        GrpcAnswer answer = {};
        _cleanup_buffer_ Buffer body = {};
        (void) snprintf(path, sizeof(path), "test/vectors/cri/%s-%s", name, version);
        CHECK_OK(file_read(path, 65536, &body, &err), err);
        CHECK_OK(read_reply(200, "0", body.data, body.size, &answer, &err), err);
        return answer;
}

static ProtobufBytes bytes_of(const Buffer *buffer)
{
        return (ProtobufBytes) { buffer->data, buffer->size };
}

static void test_recorded_status(void)
{
        FOREACH_ARRAY(r, recorded, ELEMENTS(recorded)) {
                Error err = {};
                CriStatus status = {};
                _cleanup_grpc_answer_ GrpcAnswer answer = recorded_answer("status", r->version);
                CHECK_OK(cri_parse_status(bytes_of(&answer.message), &status, &err), err);
                CHECK(status.runtime_ready.is_true);
                CHECK_STR(status.runtime_ready.reason, "");
                CHECK(!status.network_ready.is_true);
                CHECK_STR(status.network_ready.reason, "NetworkPluginNotReady");
                CHECK_STR(status.network_ready.message,
                          "Network plugin returns error: cni plugin not initialized");
                CHECK_STR(status.cgroup_driver, "systemd");
                CHECK_STR(status.sandbox_image, r->tells_image ? IMAGE : "");
                CHECK_INT(status.n_cni_bin_dirs, r->tells_image ? 1 : 2);
                CHECK_STR(status.cni_bin_dirs[0], BIN_DIR);
                CHECK_STR(status.cni_bin_dirs[1], r->tells_image ? "" : "/opt/other/bin");
                CHECK_STR(status.cni_conf_dir, "/etc/test/net.d");
        }
}

static void test_recorded_others(void)
{
        FOREACH_ARRAY(r, recorded, ELEMENTS(recorded)) {
                Error err = {};
                CriVersion version = {};
                CriImage image = {};
                _cleanup_grpc_answer_ GrpcAnswer told = recorded_answer("version", r->version);
                CHECK_OK(cri_parse_version(bytes_of(&told.message), &version, &err), err);
                CHECK_STR(version.name, "containerd");
                CHECK_STR(version.version, r->says);
                _cleanup_grpc_answer_ GrpcAnswer known = recorded_answer("image", r->version);
                CHECK_INT(cri_parse_image(bytes_of(&known.message), &image, &err), 1);
                CHECK_STR(image.id, r->id);
                CHECK_INT(image.is_pinned, r->tells_pinned);
        }
}

/* Parses a StatusResponse with that configuration and nothing else. */
static int parse_config_text(const char *config, CriStatus *ret, Error *err)
{
        _cleanup_buffer_ Buffer entry = {}, message = {};
        if (protobuf_append_string(&entry, 1, "config") < 0 ||
            protobuf_append_string(&entry, 2, config) < 0 ||
            protobuf_append_bytes(&message, 2, entry.data, entry.size) < 0) {
                abort();
        }
        return cri_parse_status(bytes_of(&message), ret, err);
}

#define RUNC(options)                                                    \
        "\"containerd\":{\"defaultRuntimeName\":\"runc\",\"runtimes\":{" \
        "\"other\":{\"options\":{\"SystemdCgroup\":true}},\"runc\":{\"options\":" options "}}}"

static void test_config(void)
{
        static const struct {
                const char *config, *driver;
                size_t n_dirs;
        } cases[] = {
                { "{" RUNC("null") "}", "cgroupfs", 0 }, /* not the other runtime's */
                { "{" RUNC("{}") ",\"systemdCgroup\":true}", "cgroupfs", 0 },
                { "{\"containerd\":{\"defaultRuntimeName\":\"a\",\"runtimes\":{\"a\":{\"options\":"
                  "{\"SystemdCgroup\":true}},\"runc\":{}}}}",
                  "systemd", 0 },
                { "{" RUNC("{\"SystemdCgroup\":false}") "}", "cgroupfs", 0 },
                { "{" RUNC("{\"SystemdCgroup\":\"yes\"}") "}", "cgroupfs", 0 },
                { "{" RUNC("{\"SystemdCgroup\":true}") ",\"cni\":{\"binDir\":\"/a\"}}", "systemd",
                  1 },
                { "{" RUNC("{}") ",\"cni\":{\"binDir\":\"\",\"binDirs\":[\"/a\",\"\",\"/b\"]}}",
                  "cgroupfs", 2 },
                { "{" RUNC("{}") ",\"cni\":{\"binDirs\":[\"/a\",\"/b\",\"/c\",\"/d\"]}}",
                  "cgroupfs", 4 },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                CriStatus status = {};
                CHECK_OK(parse_config_text(c->config, &status, &err), err);
                CHECK_STR(status.cgroup_driver, c->driver);
                CHECK_INT(status.n_cni_bin_dirs, c->n_dirs);
                CHECK(!status.runtime_ready.is_true && !status.network_ready.is_true);
        }
}

static void test_config_refused(void)
{
        char path[CRI_TEXT_MAX + 1];
        memset(path, 'x', sizeof(path) - 1);
        path[sizeof(path) - 1] = '\0';
        _cleanup_free_ char *image =
                string_format("{" RUNC("{}") ",\"sandboxImage\":\"%s\"}", path);
        _cleanup_free_ char *conf =
                string_format("{" RUNC("{}") ",\"cni\":{\"confDir\":\"%s\"}}", path);
        _cleanup_free_ char *bin =
                string_format("{" RUNC("{}") ",\"cni\":{\"binDirs\":[\"%s\",\"/b\"]}}", path);
        REQUIRE(image && conf && bin);
        const struct {
                const char *config;
                int error;
                ErrorClass class;
                const char *says;
        } cases[] = {
                { "", EBADMSG, ERROR_RETRY, "no configuration" },
                { "[]", EBADMSG, ERROR_RETRY, "no configuration" },
                { "{\"containerd\":", EBADMSG, ERROR_RETRY, "no configuration" },
                { "{}", EPROTO, ERROR_CONFIG, "no default runtime" },
                { "{\"containerd\":{\"defaultRuntimeName\":\"a\",\"runtimes\":{\"b\":{}}}}", EPROTO,
                  ERROR_CONFIG, "no default runtime" },
                { image, ENAMETOOLONG, ERROR_CONFIG, "sandboxImage is longer than 255 bytes" },
                { conf, ENAMETOOLONG, ERROR_CONFIG, "cni.confDir is longer" },
                { bin, ENAMETOOLONG, ERROR_CONFIG, "cni.binDirs is longer" },
                { "{" RUNC("{}") ",\"cni\":{\"binDir\":\"/a\",\"binDirs\":[\"/b\",\"/c\",\"/d\","
                                 "\"/e\"]}}",
                  E2BIG, ERROR_CONFIG, "more than 4 folders" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                CriStatus status = { .n_cni_bin_dirs = 77 };
                CHECK_INT(parse_config_text(c->config, &status, &err), -c->error);
                CHECK_INT(err.class, c->class);
                CHECK_CONTAINS(err.message, c->says);
                CHECK_INT(status.n_cni_bin_dirs, 77); /* untouched */
        }
}

/* A condition that is false in so many words, and one that is told twice. */
static void test_conditions(void)
{
        static const char conditions[] = "\x0a\x10\x0a\x0cNetworkReady\x10\x00"
                                         "\x0a\x10\x0a\x0cRuntimeReady\x10\x01"
                                         "\x0a\x09\x0a\x05Other\x10\x01";
        Error err = {};
        CriStatus status = {};
        _cleanup_buffer_ Buffer message = {}, entry = {};
        CHECK_INT(protobuf_append_bytes(&message, 1, conditions, sizeof(conditions) - 1), 0);
        CHECK_INT(protobuf_append_string(&entry, 1, "config"), 0);
        CHECK_INT(protobuf_append_string(&entry, 2, "{" RUNC("{}") "}"), 0);
        CHECK_INT(protobuf_append_bytes(&message, 2, entry.data, entry.size), 0);
        CHECK_OK(cri_parse_status(bytes_of(&message), &status, &err), err);
        CHECK(status.runtime_ready.is_true);
        CHECK(!status.network_ready.is_true);
        static const char later[] = "\x0a\x10\x0a\x0cNetworkReady\x10\x01";
        CHECK_INT(protobuf_append_bytes(&message, 1, later, sizeof(later) - 1), 0);
        CHECK_OK(cri_parse_status(bytes_of(&message), &status, &err), err);
        CHECK(status.runtime_ready.is_true); /* as told before: messages are merged */
        CHECK(status.network_ready.is_true);
}

/* Every recorded message, cut at every place: it is refused, or a field less was told. */
static void test_cut_messages(void)
{
        FOREACH_ARRAY(r, recorded, ELEMENTS(recorded)) {
                _cleanup_grpc_answer_ GrpcAnswer told = recorded_answer("status", r->version);
                _cleanup_grpc_answer_ GrpcAnswer known = recorded_answer("image", r->version);
                for (size_t n = 0; n < told.message.size; n++) {
                        Error err = {};
                        CriStatus status = {};
                        ProtobufBytes part = { told.message.data, n };
                        if (cri_parse_status(part, &status, &err) < 0) {
                                CHECK_INT(err.error, EBADMSG);
                        } else {
                                CHECK_STR(status.cgroup_driver, "systemd");
                        }
                }
                for (size_t n = 1; n < known.message.size; n++) {
                        CriImage image = {};
                        ProtobufBytes part = { known.message.data, n };
                        CHECK_INT(cri_parse_image(part, &image, ERROR_IGNORED), -EBADMSG);
                        CHECK_STR(image.id, "");
                }
        }
}

#define PARSE(parse, text, ret, err) parse((ProtobufBytes) { text, sizeof(text) - 1 }, ret, err)

static void test_odd_messages(void)
{
        Error err = {};
        CriStatus status = {};
        CriVersion version = {};
        CriImage image = { .id = "as it was" };
        CHECK_INT(PARSE(cri_parse_status, "", &status, &err), -EBADMSG);
        CHECK_INT(PARSE(cri_parse_status, "\x0a\x02\x0a\x05", &status, &err), -EBADMSG);
        CHECK_CONTAINS(err.message, "no StatusResponse of CRI v1");
        CHECK_INT(PARSE(cri_parse_status, "\x12\x02\x0a\x05", &status, &err), -EBADMSG);
        CHECK_CONTAINS(err.message, "no StatusResponse of CRI v1");
        CHECK_INT(PARSE(cri_parse_version, "", &version, &err), -EBADMSG);
        CHECK_INT(PARSE(cri_parse_version, "\x12\x01x", &version, &err), -EBADMSG);
        CHECK_INT(PARSE(cri_parse_version, "\x1a\x01x", &version, &err), -EBADMSG);
        CHECK_OK(PARSE(cri_parse_version,
                       "\x12\x03"
                       "a\x1b"
                       "b\x1a\x01x\x20\x01",
                       &version, &err),
                 err);
        CHECK_STR(version.name, "a b");
        CHECK_INT(PARSE(cri_parse_image, "", &image, &err), 0);
        CHECK_INT(PARSE(cri_parse_image, "\x12\x00", &image, &err), 0);        /* info alone */
        CHECK_INT(PARSE(cri_parse_image, "\x0a\x00", &image, &err), -EBADMSG); /* no id */
        CHECK_INT(PARSE(cri_parse_image,
                        "\x0a\x05\x0a\x03"
                        "a b",
                        &image, &err),
                  -EBADMSG);
        CHECK_INT(PARSE(cri_parse_image, "\x0a\x03\x0a\x01\n", &image, &err), -EBADMSG);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_STR(image.id, "as it was");
        char longest[4 + 128] = "\x0a\x83\x01\x0a\x80\x01";
        _cleanup_buffer_ Buffer inner = {}, outer = {};
        memset(longest, 'x', 128);
        REQUIRE(protobuf_append_bytes(&inner, 1, longest, 128) == 0 &&
                protobuf_append_bytes(&outer, 1, inner.data, inner.size) == 0);
        CHECK_INT(cri_parse_image(bytes_of(&outer), &image, &err), -EBADMSG); /* not cut */
        /* A field of another type is another field. */
        CHECK_INT(PARSE(cri_parse_image, "\x0a\x06\x0a\x01x\x42\x01\x01", &image, &err), 1);
        CHECK(!image.is_pinned);
        CHECK_INT(PARSE(cri_parse_image, "\x0a\x05\x0a\x01x\x40\x01", &image, &err), 1);
        CHECK(image.is_pinned);
        CHECK_INT(PARSE(cri_parse_image, "\x0a\x08\x0a\x01x\x40\x01\x42\x01\x01", &image, &err), 1);
        CHECK(image.is_pinned);
        CHECK_INT(PARSE(cri_parse_image, "\x0a\x05\x0a\x01y\x08\x01", &image, &err), 1);
        CHECK_STR(image.id, "y");
        CHECK_INT(PARSE(cri_parse_image, "\x0a\x05\x0a\x01x\x40\x00", &image, &err), 1);
        CHECK(!image.is_pinned);
}

/* Calls, where containerd is not. */

static void test_nobody(void)
{
        Error err = {};
        Wait wait = test_patience();
        char path[128];
        CriStatus status;
        CriVersion version;
        CriImage image;
        (void) snprintf(path, sizeof(path), "%s/stale", test_folder());
        CHECK_INT(cri_status(path, &wait, &status, &err), -ENOENT); /* no socket */
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_CONTAINS(err.message, "grpc runtime.v1.RuntimeService/Status: ");
        CHECK_CONTAINS(err.message, path);
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(bind(fd, (struct sockaddr *) &address, sizeof(address)) == 0);
        (void) close(fd);
        CHECK_INT(cri_version(path, &wait, &version, &err), -ECONNREFUSED); /* nobody behind it */
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_INT(cri_image_id(path, "", &wait, &image, &err), -EINVAL);
        CHECK_INT(err.class, ERROR_CONFIG);
        char name[1024];
        memset(name, 'x', sizeof(name) - 1);
        name[sizeof(name) - 1] = '\0';
        CHECK_INT(cri_image_id(path, name, &wait, &image, &err), -EINVAL);
}

static const Answer old_answers[] = { {} };

/* A server of HTTP/1.1 answers the preface of HTTP/2 with 404 in its own way. */
static void test_no_http2(void)
{
        Error err = {};
        Wait wait = test_patience();
        CriVersion version;
        CHECK(cri_version(local_socket, &wait, &version, &err) < 0);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK_CONTAINS(err.message, "grpc runtime.v1.RuntimeService/Version: ");
}

/* Calls of a server that says what it is told to. */

/* A VersionResponse with the two fields that are read. */
static const char version_reply[] = "\0\0\0\0\x1a\x12\x0a"
                                    "containerd\x1a\x0c"
                                    "1.6.20~ds1-1";

static GrpcServer scripted;

static void script(const GrpcReply *replies, size_t n)
{
        grpc_server_start(&scripted, scripted_socket, replies, n);
}

static void test_sent(void)
{
        static const GrpcReply replies[] = {
                { "0", .message = version_reply, .size = sizeof(version_reply) - 1 },
                { "0", .message = "\0\0\0\0\0", .size = 5 },
                { "0", .message = "\0\0\0\0\0", .size = 5 },
        };
        static const char status[] = "\0\0\0\0\2\x08\x01", image[] = "\0\0\0\0\x07\x0a\x05\x0a\x03"
                                                                     "a:b";
        Error err = {};
        Wait wait = test_patience();
        CriVersion version = {};
        CriStatus told;
        CriImage none;
        script(replies, ELEMENTS(replies));
        CHECK_OK(cri_version(scripted_socket, &wait, &version, &err), err);
        CHECK_STR(version.name, "containerd");
        CHECK_STR(version.version, "1.6.20~ds1-1");
        CHECK_INT(cri_status(scripted_socket, &wait, &told, &err), -EBADMSG);
        CHECK_CONTAINS(err.message, scripted_socket);
        CHECK_INT(cri_image_id(scripted_socket, "a:b", &wait, &none, &err), 0);
        CHECK_INT(scripted.n_requests, 3);
        CHECK_INT(scripted.requests[0].size, 5);
        CHECK_INT(scripted.requests[1].size, sizeof(status) - 1);
        CHECK(memcmp(scripted.requests[1].data, status, sizeof(status) - 1) == 0);
        CHECK_INT(scripted.requests[2].size, sizeof(image) - 1);
        CHECK(memcmp(scripted.requests[2].data, image, sizeof(image) - 1) == 0);
        grpc_server_stop(&scripted);
}

static void test_failures(void)
{
        static const char part[] = "\0\0\0\0\x1a\x12\x0a"
                                   "cont";
        static const struct {
                GrpcReply reply;
                int error;
                ErrorClass class;
                const char *says;
        } cases[] = {
                { { "14", "not%20yet" }, EAGAIN, ERROR_RETRY, "Version at " },
                { { "14", "not%20yet" }, EAGAIN, ERROR_RETRY, ": not yet (code 14)" },
                { { "2", "server is not initialized yet" }, EIO, ERROR_RETRY, "not initialized" },
                { { "12", "unknown service x" },
                  EOPNOTSUPP,
                  ERROR_CONFIG,
                  "does not speak CRI v1: unknown service x: containerd 1.6 or later" },
                { { "7", "no" }, EACCES, ERROR_DENIED, ": no (code 7)" },
                { { "0" }, EBADMSG, ERROR_RETRY, "no message" },
                { { NULL, .message = "\0\0\0\0\0", .size = 5 },
                  EBADMSG,
                  ERROR_RETRY,
                  "no grpc-status" },
                { { "13", "broken", .message = version_reply, .size = sizeof(version_reply) - 1 },
                  EIO,
                  ERROR_RETRY,
                  "broken (code 13)" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                Wait wait = test_patience();
                CriVersion version = { .name = "as it was" };
                script(&c->reply, 1);
                CHECK_INT(cri_version(scripted_socket, &wait, &version, &err), -c->error);
                CHECK_INT(err.class, c->class);
                CHECK_CONTAINS(err.message, c->says);
                CHECK_STR(version.name, "as it was");
                grpc_server_stop(&scripted);
        }
        /* The second request asks whether the method is known. */
        static const GrpcReply cut[] = {
                { "0", .message = part, .size = sizeof(part) - 1, .cut = true },
                { "2", "EOF" },
        };
        Error err = {};
        Wait wait = test_patience();
        CriVersion version;
        script(cut, ELEMENTS(cut));
        CHECK_INT(cri_version(scripted_socket, &wait, &version, &err), -ECONNRESET);
        CHECK_INT(err.class, ERROR_RETRY);
        grpc_server_stop(&scripted);
}

#define INTERNAL_ERROR 2 /* RFC 9113, 7 */

static void test_reset(void)
{
        static const GrpcReply unknown[] = { { .reset = INTERNAL_ERROR },
                                             { "12", "unknown service x" } };
        static const GrpcReply known[] = { { .reset = INTERNAL_ERROR }, { "2", "EOF" } };
        static const GrpcReply again[] = { { .reset = INTERNAL_ERROR },
                                           { .reset = INTERNAL_ERROR } };
        Error err = {};
        Wait wait = test_patience();
        CriStatus status;
        script(unknown, 2);
        CHECK_INT(cri_status(scripted_socket, &wait, &status, &err), -EOPNOTSUPP);
        CHECK_CONTAINS(err.message, "unknown service x");
        CHECK_INT(scripted.requests[0].size, 7);
        CHECK_INT(scripted.n_requests, 2);
        CHECK_INT(scripted.requests[1].size, 0); /* no message */
        grpc_server_stop(&scripted);
        script(known, 2);
        CHECK_INT(cri_status(scripted_socket, &wait, &status, &err), -ECONNRESET);
        CHECK_INT(err.class, ERROR_RETRY);
        CHECK(!strstr(err.message, "EOF"));
        grpc_server_stop(&scripted);
        script(again, 2);
        CHECK_INT(cri_status(scripted_socket, &wait, &status, &err), -ECONNRESET);
        grpc_server_stop(&scripted);
}

static void test_reply_max(void)
{
        static const GrpcReply replies[] = {
                { "0", .message = "\0\0\0\0\3abc", .size = 8 },
                { "0", .message = "\0\0\0\0\4abcd", .size = 9 },
        };
        Error err = {};
        Wait wait = test_patience();
        const Buffer empty = {};
        _cleanup_grpc_answer_ GrpcAnswer answer = {};
        GrpcCall call = {
                .socket = scripted_socket, .method = "a.B/C", .message = &empty, .reply_max = 3
        };
        script(replies, 2);
        CHECK_OK(grpc_call(&call, &wait, &answer, &err), err);
        CHECK_STR(answer.message.data, "abc");
        CHECK_INT(grpc_call(&call, &wait, &answer, &err), -EFBIG);
        CHECK_STR(err.message, "grpc a.B/C: reply too large");
        grpc_server_stop(&scripted);
}

/* A containerd. */

static Daemon containerd;

static void start(void)
{
        Wait wait = test_patience();
        daemon_start(&containerd,
                     "cd %s && rm -f c.sock && exec " CONTAINERD
                     " --config config.toml --root $PWD/root --state $PWD/state "
                     "--address $PWD/c.sock > log 2>&1",
                     folder);
        while (access(cri_socket, F_OK) < 0 && wait_sleep(&wait, 100, ERROR_IGNORED) == 0) {
                ;
        }
}

static void write_config(const char *disabled)
{
        Error err = {};
        char path[128];
        (void) snprintf(path, sizeof(path), "%s/config.toml", folder);
        _cleanup_free_ char *text = string_format(
                "version = 2\ndisabled_plugins = [%s]\n"
                "[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"" IMAGE "\"\n"
                "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n"
                "runtime_type = \"io.containerd.runc.v2\"\n"
                "[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n"
                "SystemdCgroup = true\n"
                "[plugins.\"io.containerd.grpc.v1.cri\".cni]\n"
                "bin_dir = \"" BIN_DIR "\"\nconf_dir = \"%s\"\n",
                disabled, conf_dir);
        REQUIRE(text);
        CHECK_OK(file_write(path, text, strlen(text), 0644, &err), err);
}

/* The first call waits until containerd is ready to answer. */
static void test_version(void)
{
        Error err = {};
        Wait wait = test_patience();
        CriVersion version = {};
        char path[128];
        _cleanup_buffer_ Buffer says = {};
        write_config("");
        start();
        while (cri_version(cri_socket, &wait, &version, &err) < 0 &&
               wait_sleep(&wait, 100, &err) == 0) {
                CHECK_INT(err.class, ERROR_RETRY);
        }
        CHECK_STR(version.name, "containerd");
        REQUIRE(shell("cd %s && " CONTAINERD " --version | cut -d ' ' -f 3 | tr -d '\\n' > version",
                      folder) == 0);
        (void) snprintf(path, sizeof(path), "%s/version", folder);
        CHECK_OK(file_read(path, 4096, &says, &err), err);
        CHECK_STR(version.version, says.data);
}

static void test_status(void)
{
        Error err = {};
        Wait wait = test_patience();
        CriStatus status = {};
        CHECK_OK(cri_status(cri_socket, &wait, &status, &err), err);
        CHECK(status.runtime_ready.is_true);
        CHECK(!status.network_ready.is_true);
        CHECK_STR(status.network_ready.reason, "NetworkPluginNotReady");
        CHECK(status.network_ready.message[0]);
        CHECK_STR(status.cgroup_driver, "systemd");
        CHECK_STR(status.cni_conf_dir, conf_dir);
        CHECK_INT(status.n_cni_bin_dirs, 1);
        CHECK_STR(status.cni_bin_dirs[0], BIN_DIR);
        CHECK_STR(status.sandbox_image, IMAGE);
        REQUIRE(shell("echo '{\"cniVersion\":\"0.3.1\",\"name\":\"n\",\"plugins\":"
                      "[{\"type\":\"bridge\"}]}' > %s/1.conflist",
                      conf_dir) == 0);
        while (!status.network_ready.is_true && wait_sleep(&wait, 100, &err) == 0) {
                CHECK_OK(cri_status(cri_socket, &wait, &status, &err), err);
        }
        CHECK(status.network_ready.is_true);
        CHECK_STR(status.network_ready.reason, "");
}

/* An image with one empty layer, in the layout of OCI, with a name that ctr takes from it. */
static const char make_image[] =
        "cd %s && mkdir -p image/blobs/sha256 && cd image && "
        "add() { d=$(sha256sum < $1 | cut -d ' ' -f 1); n=$(stat -c %%s $1); "
        "mv $1 blobs/sha256/$d; } && : > f && tar cf layer f && rm f && add layer && layer=$d:$n "
        "&& "
        "printf '{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{},\"rootfs\":{\"type\":"
        "\"layers\",\"diff_ids\":[\"sha256:%%s\"]}}' ${layer%%:*} > c && add c && "
        "printf %%s $d > ../id && "
        "printf '{\"schemaVersion\":2,\"config\":{\"mediaType\":"
        "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:%%s\",\"size\":%%s},"
        "\"layers\":[{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\","
        "\"digest\":\"sha256:%%s\",\"size\":%%s}]}' $d $n ${layer%%:*} ${layer#*:} > m && add m && "
        "printf '{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":"
        "\"application/vnd.oci.image.manifest.v1+json\",\"digest\":\"sha256:%%s\",\"size\":%%s,"
        "\"annotations\":{\"io.containerd.image.name\":\"" IMAGE "\"}}]}' $d $n > index.json && "
        "echo '{\"imageLayoutVersion\":\"1.0.0\"}' > oci-layout && tar cf ../image.tar .";

static void test_image(void)
{
        Error err = {};
        Wait wait = test_patience();
        CriImage image = { .id = "as it was" }, same = {};
        char path[128];
        _cleanup_buffer_ Buffer id = {};
        CHECK_INT(cri_image_id(cri_socket, IMAGE, &wait, &image, &err), 0);
        CHECK_STR(image.id, "as it was");
        REQUIRE(shell(make_image, folder) == 0);
        REQUIRE(shell("cd %s && " CTR " -a c.sock -n k8s.io images import image.tar", folder) == 0);
        while (cri_image_id(cri_socket, IMAGE, &wait, &image, &err) == 0 &&
               wait_sleep(&wait, 100, &err) == 0) {
                ; /* CRI hears of it by an event */
        }
        (void) snprintf(path, sizeof(path), "%s/id", folder);
        CHECK_OK(buffer_append_string(&id, "sha256:"), err);
        CHECK_OK(file_read(path, 4096, &id, &err), err);
        CHECK_STR(image.id, id.data);
        CHECK_INT(cri_image_id(cri_socket, id.data, &wait, &same, &err), 1); /* by its id */
        CHECK_STR(same.id, id.data);
        CHECK_INT(cri_image_id(cri_socket, "example.test/pause:9.8", &wait, &same, &err), 0);
        CHECK_INT(cri_image_id(cri_socket, "NO/../name", &wait, &same, &err), 0);
}

/* The thread has a connection to a containerd that has died. */
static void test_restart(void)
{
        Error err = {};
        Wait wait = test_patience();
        CriVersion version = {};
        CriImage image = {};
        int r;
        daemon_stop(&containerd);
        r = cri_version(cri_socket, &wait, &version, &err);
        CHECK(r < 0);
        CHECK_INT(err.class, ERROR_RETRY);
        start();
        while ((r = cri_version(cri_socket, &wait, &version, &err)) < 0 &&
               wait_sleep(&wait, 100, &err) == 0) {
                CHECK_INT(err.class, ERROR_RETRY);
        }
        CHECK_INT(r, 0);
        CHECK_INT(cri_image_id(cri_socket, IMAGE, &wait, &image, &err), 1); /* still there */
}

/* A containerd that does not know the service answers before it has seen the request's body. */
static void test_no_cri(void)
{
        Error err = {};
        Wait wait = test_patience();
        CriStatus status = { .n_cni_bin_dirs = 77 };
        daemon_stop(&containerd);
        write_config("\"io.containerd.grpc.v1.cri\"");
        start();
        while (cri_status(cri_socket, &wait, &status, &err) == -ECONNREFUSED &&
               wait_sleep(&wait, 100, &err) == 0) {
                ;
        }
        for (int i = 0; i < 50; i++) {
                CHECK_INT(cri_status(cri_socket, &wait, &status, &err), -EOPNOTSUPP);
                CHECK_INT(err.class, ERROR_CONFIG);
        }
        _cleanup_free_ char *says =
                string_format("the containerd at %s does not speak CRI v1: unknown service "
                              "runtime.v1.RuntimeService: containerd 1.6 or later",
                              cri_socket);
        CHECK_CONTAINS(err.message, says);
        CHECK_INT(status.n_cni_bin_dirs, 77); /* untouched */
        daemon_stop(&containerd);
}

/* containerd's files and mounts are in a mount namespace of the test's own, and go with it. */
static bool make_folder(void)
{
        (void) snprintf(folder, sizeof(folder), "%s/containerd", test_folder());
        (void) snprintf(cri_socket, sizeof(cri_socket), "%s/c.sock", folder);
        (void) snprintf(conf_dir, sizeof(conf_dir), "%s/net.d", folder);
        return mkdir(folder, 0755) == 0 && unshare(CLONE_NEWNS) == 0 &&
               mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
               mount("containerd", folder, "tmpfs", MS_NOSUID | MS_NODEV, NULL) == 0 &&
               mkdir(conf_dir, 0755) == 0;
}

int main(void)
{
        static const TestCase cases[] = {
                { "containerd is waited for, and tells its version", test_version },
                { "what it says of itself is what it was configured with", test_status },
                { "an image that is absent, and there", test_image },
                { "a restart of containerd is got over", test_restart },
                { "a containerd without CRI is told from one that is not ready", test_no_cri },
        };
        bool real = geteuid() == 0 && access(CONTAINERD, X_OK) == 0 && access(CTR, X_OK) == 0;
        Error err = {};
        static Server local = { .answers = old_answers };
        if (real && !make_folder()) {
                perror(folder);
                return EXIT_FAILURE;
        }
        if (http_init(&err) < 0) {
                return EXIT_FAILURE;
        }
        (void) snprintf(local_socket, sizeof(local_socket), "%s/socket", test_folder());
        (void) snprintf(scripted_socket, sizeof(scripted_socket), "%s/scripted", test_folder());
        loopback_start_unix(&local, local_socket);
        test_case("a message is what its prefix says", test_framing);
        test_case("a message that is not what its prefix says is refused", test_framing_refused);
        test_case("the code is grpc-status, or follows from HTTP's", test_codes);
        test_case("the trailer counts", test_trailer);
        test_case("the reason is decoded, bounded and without control characters", test_reason);
        test_case("Status of three containerds", test_recorded_status);
        test_case("Version and ImageStatus of three containerds", test_recorded_others);
        test_case("forms of the configuration", test_config);
        test_case("configurations that are refused", test_config_refused);
        test_case("conditions", test_conditions);
        test_case("messages that were cut", test_cut_messages);
        test_case("messages that containerd does not send", test_odd_messages);
        test_case("nobody there", test_nobody);
        test_case("a server of HTTP/1.1", test_no_http2);
        test_case("what is sent", test_sent);
        test_case("failures have a class and a reason", test_failures);
        test_case("a reset stream is told from an unknown method", test_reset);
        test_case("a reply past its maximum fails", test_reply_max);
        test_chain(real ? NULL : "needs root, containerd and ctr", cases, ELEMENTS(cases));
        if (real) {
                (void) umount2(folder, MNT_DETACH); /* the folder itself is the harness's */
        }
        http_done();
        loopback_stop(&local);
        connections_join();
        return test_done();
}
