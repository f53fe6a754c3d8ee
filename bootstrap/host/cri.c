/* SPDX-License-Identifier: Apache-2.0 */
#include "host/cri.h"

#include <errno.h>
#include <string.h>

#include "base/protobuf.h"
#include "base/string.h"
#include "host/cri_internal.h"
#include "host/grpc.h"

#define RUNTIME       "runtime.v1.RuntimeService/"
#define IMAGES        "runtime.v1.ImageService/"
#define TIMEOUT_MS    10000
#define REQUEST_MAX   ((size_t) 4 << 10)
#define REPLY_MAX     ((size_t) 4 << 20)
#define NAME_SIZE_MAX 512

/* The numbers of the fields, from cri-api v0.37.2, pkg/apis/runtime/v1/api.proto. */
enum {
        STATUS_REQUEST_VERBOSE = 1,
        IMAGE_STATUS_REQUEST_IMAGE = 1,
        IMAGE_SPEC_IMAGE = 1,
};

/* Returns the error of an answer that is none of the method's. */
static int cri_refused(const GrpcCall *call, const GrpcAnswer *answer, Error *err)
{
        int error;
        ErrorClass class = grpc_class_from_code(answer->code, &error);
        if (answer->code == GRPC_UNIMPLEMENTED) {
                return error_set(err, class, error,
                                 "the containerd at %s does not speak CRI v1: %s: containerd 1.6 "
                                 "or later must run there, and its configuration must not name "
                                 "\"cri\" in disabled_plugins",
                                 call->socket, answer->text);
        }
        return error_set(err, class, error, "%s at %s: %s (code %d)", call->method, call->socket,
                         answer->text, answer->code);
}

/* Calls a method with a request that the caller may have had no memory for. */
static int cri_call(const char *socket, const char *method, const Buffer *request, const Wait *wait,
                    GrpcAnswer *ret, Error *err)
{
        _cleanup_grpc_answer_ GrpcAnswer answer = {};
        GrpcCall call = { .socket = socket,
                          .method = method,
                          .message = request,
                          .timeout_ms = TIMEOUT_MS,
                          .reply_max = REPLY_MAX };
        int r = grpc_call(&call, wait, &answer, err);
        if (r < 0) {
                return r;
        }
        if (answer.code != GRPC_OK) {
                return cri_refused(&call, &answer, err);
        }
        *ret = answer;
        answer = (GrpcAnswer) {};
        return 0;
}

static ProtobufBytes answer_message(const GrpcAnswer *answer)
{
        return (ProtobufBytes) { answer->message.data, answer->message.size };
}

int cri_status(const char *socket, const Wait *wait, CriStatus *ret, Error *err)
{
        _cleanup_buffer_ Buffer request = { .max = REQUEST_MAX };
        _cleanup_grpc_answer_ GrpcAnswer answer = {};
        if (protobuf_append_bool(&request, STATUS_REQUEST_VERBOSE, true) < 0) {
                return error_oom(err);
        }
        int r = cri_call(socket, RUNTIME "Status", &request, wait, &answer, err);
        if (r < 0) {
                return r;
        }
        r = cri_parse_status(answer_message(&answer), ret, err);
        return r < 0 ? error_prefix(err, "%s", socket) : 0;
}

int cri_version(const char *socket, const Wait *wait, CriVersion *ret, Error *err)
{
        const Buffer empty = {};
        _cleanup_grpc_answer_ GrpcAnswer answer = {};
        int r = cri_call(socket, RUNTIME "Version", &empty, wait, &answer, err);
        if (r < 0) {
                return r;
        }
        r = cri_parse_version(answer_message(&answer), ret, err);
        return r < 0 ? error_prefix(err, "%s", socket) : 0;
}

int cri_image_id(const char *socket, const char *image, const Wait *wait, CriImage *ret, Error *err)
{
        _cleanup_buffer_ Buffer spec = { .max = REQUEST_MAX }, request = { .max = REQUEST_MAX };
        _cleanup_grpc_answer_ GrpcAnswer answer = {};
        if (isempty(image) || strlen(image) > NAME_SIZE_MAX) {
                return error_set(err, ERROR_CONFIG, EINVAL, "not a name of an image: \"%s\"",
                                 strempty(image));
        }
        if (protobuf_append_string(&spec, IMAGE_SPEC_IMAGE, image) < 0 ||
            protobuf_append_bytes(&request, IMAGE_STATUS_REQUEST_IMAGE, spec.data, spec.size) < 0) {
                return error_oom(err);
        }
        int r = cri_call(socket, IMAGES "ImageStatus", &request, wait, &answer, err);
        if (r < 0) {
                return r;
        }
        r = cri_parse_image(answer_message(&answer), ret, err);
        return r < 0 ? error_prefix(err, "%s", socket) : r;
}
