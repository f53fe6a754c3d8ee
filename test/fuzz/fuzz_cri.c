/* SPDX-License-Identifier: Apache-2.0 */

/* What containerd answers: a gRPC reply (it begins with a byte of zero), or the message in one, of
 * which every field is read and which is taken for each kind of reply. */

#include <stdint.h>
#include <stdlib.h>

#include "host/cri_internal.h"
#include "host/grpc.h"

static void check_text(const char *text, size_t size)
{
        const char *end = memchr(text, '\0', size);
        if (!end) {
                abort();
        }
        for (const char *p = text; p < end; p++) {
                if ((unsigned char) *p < ' ' || *p == 0x7f) {
                        abort(); /* it goes to a terminal */
                }
        }
}

/* A field lies within the message, and the next one after it. */
static void check_fields(ProtobufBytes message)
{
        ProtobufBytes rest = message;
        ProtobufField field;
        int r;
        while ((r = protobuf_read(&rest, &field)) > 0) {
                const char *end = message.data + message.size;
                if (rest.data + rest.size != end || rest.size >= message.size ||
                    field.number == 0) {
                        abort();
                }
                if (field.type != PROTOBUF_VARINT &&
                    (field.bytes.data < message.data ||
                     field.bytes.data + field.bytes.size != rest.data)) {
                        abort();
                }
        }
        if (r == 0 && rest.size > 0) {
                abort();
        }
}

static void check_status(ProtobufBytes message)
{
        CriStatus status;
        if (cri_parse_status(message, &status, ERROR_IGNORED) < 0) {
                return;
        }
        const CriCondition *conditions[] = { &status.runtime_ready, &status.network_ready };
        FOREACH_ARRAY(condition, conditions, ELEMENTS(conditions)) {
                check_text((*condition)->reason, sizeof((*condition)->reason));
                check_text((*condition)->message, sizeof((*condition)->message));
        }
        if ((!streq(status.cgroup_driver, "systemd") && !streq(status.cgroup_driver, "cgroupfs")) ||
            status.n_cni_bin_dirs > CRI_BIN_DIRS_MAX) {
                abort();
        }
        for (size_t i = 0; i < status.n_cni_bin_dirs; i++) {
                if (!status.cni_bin_dirs[i][0] ||
                    !memchr(status.cni_bin_dirs[i], '\0', CRI_TEXT_MAX)) {
                        abort();
                }
        }
}

static void check_message(ProtobufBytes message)
{
        CriVersion version;
        CriImage image;
        check_fields(message);
        check_status(message);
        if (cri_parse_version(message, &version, ERROR_IGNORED) == 0) {
                check_text(version.name, sizeof(version.name));
                check_text(version.version, sizeof(version.version));
        }
        if (cri_parse_image(message, &image, ERROR_IGNORED) > 0) {
                check_text(image.id, sizeof(image.id));
                if (!image.id[0] || strchr(image.id, ' ')) {
                        abort();
                }
        }
}

/* The bytes as body and as reason of a reply. `code` is its grpc-status. */
static void check_reply(const uint8_t *data, size_t n, const char *code)
{
        HttpReply reply = { .status = 200, .n_headers = 2 };
        GrpcAnswer answer = {};
        if (buffer_append(&reply.body, data, n) < 0) {
                abort();
        }
        reply.headers[0] = (HttpHeader) { strdup("grpc-status"), strdup(code) };
        reply.headers[1] = (HttpHeader) { strdup("grpc-message"), strdup(reply.body.data) };
        if (grpc_read_reply(&reply, &answer, ERROR_IGNORED) == 0) {
                check_text(answer.text, sizeof(answer.text));
                if (answer.code == GRPC_OK && answer.message.size + 5 != n) {
                        abort();
                }
                check_message((ProtobufBytes) { answer.message.data, answer.message.size });
        }
        grpc_answer_done(&answer);
        http_reply_done(&reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        check_message((ProtobufBytes) { (const char *) data, n });
        check_reply(data, n, "0");
        check_reply(data, n, "2");
        return 0;
}
