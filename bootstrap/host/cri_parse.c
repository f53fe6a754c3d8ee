/* SPDX-License-Identifier: Apache-2.0 */
#include "host/cri_internal.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "base/string.h"
#include "host/grpc.h"

/* The numbers of the fields, from cri-api v0.37.2, pkg/apis/runtime/v1/api.proto. A map is a row of
 * entries, each a message with a key and a value
 * (https://protobuf.dev/programming-guides/encoding/#maps). */
enum {
        MAP_KEY = 1,
        MAP_VALUE = 2,
        STATUS_RESPONSE_STATUS = 1,
        STATUS_RESPONSE_INFO = 2,
        RUNTIME_STATUS_CONDITIONS = 1,
        RUNTIME_CONDITION_TYPE = 1,
        RUNTIME_CONDITION_STATUS = 2,
        RUNTIME_CONDITION_REASON = 3,
        RUNTIME_CONDITION_MESSAGE = 4,
        VERSION_RESPONSE_RUNTIME_NAME = 2,
        VERSION_RESPONSE_RUNTIME_VERSION = 3,
        IMAGE_STATUS_RESPONSE_IMAGE = 1,
        IMAGE_ID = 1,
        IMAGE_PINNED = 8,
};

static int not_cri(const char *what, Error *err)
{
        return error_set(err, ERROR_RETRY, EBADMSG, "the reply is no %s of CRI v1", what);
}

/* Returns true if the field has that number and is a string or a message. */
static bool is_bytes(const ProtobufField *field, uint32_t number)
{
        return field->number == number && field->type == PROTOBUF_BYTES;
}

static bool is_bool(const ProtobufField *field, uint32_t number)
{
        return field->number == number && field->type == PROTOBUF_VARINT;
}

static void cri_copy_text(ProtobufBytes text, char *ret, size_t size)
{
        grpc_copy_text(text.data, text.size, ret, size);
}

static bool bytes_are(ProtobufBytes bytes, const char *text)
{
        return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

/* Reads a RuntimeCondition into the member of *status that has its name. Other conditions are not
 * looked at. */
static int parse_condition(ProtobufBytes message, CriStatus *status)
{
        ProtobufBytes type = {};
        ProtobufField field;
        CriCondition condition = {};
        int r;
        while ((r = protobuf_read(&message, &field)) > 0) {
                if (is_bytes(&field, RUNTIME_CONDITION_TYPE)) {
                        type = field.bytes;
                } else if (is_bool(&field, RUNTIME_CONDITION_STATUS)) {
                        condition.is_true = field.varint != 0;
                } else if (is_bytes(&field, RUNTIME_CONDITION_REASON)) {
                        cri_copy_text(field.bytes, condition.reason, sizeof(condition.reason));
                } else if (is_bytes(&field, RUNTIME_CONDITION_MESSAGE)) {
                        cri_copy_text(field.bytes, condition.message, sizeof(condition.message));
                }
        }
        if (r == 0 && bytes_are(type, "RuntimeReady")) {
                status->runtime_ready = condition;
        } else if (r == 0 && bytes_are(type, "NetworkReady")) {
                status->network_ready = condition;
        }
        return r;
}

static int parse_conditions(ProtobufBytes message, CriStatus *status)
{
        ProtobufField field;
        int r;
        while ((r = protobuf_read(&message, &field)) > 0) {
                if (is_bytes(&field, RUNTIME_STATUS_CONDITIONS)) {
                        r = parse_condition(field.bytes, status);
                        if (r < 0) {
                                return r;
                        }
                }
        }
        return r;
}

/* Reads an entry of the map "info". *ret_config gets the value if the key is "config". */
static int parse_info(ProtobufBytes message, ProtobufBytes *ret_config)
{
        ProtobufBytes key = {}, value = {};
        ProtobufField field;
        int r;
        while ((r = protobuf_read(&message, &field)) > 0) {
                if (is_bytes(&field, MAP_KEY)) {
                        key = field.bytes;
                } else if (is_bytes(&field, MAP_VALUE)) {
                        value = field.bytes;
                }
        }
        if (r == 0 && bytes_are(key, "config")) {
                *ret_config = value;
        }
        return r;
}

/* Copies a string of containerd's configuration; none is "". A cut one would be another. */
static int copy_setting(const json_t *json, const char *name, char *ret, size_t size, Error *err)
{
        const char *text = strempty(json_string_value(json));
        if (strlen(text) >= size) {
                return error_set(err, ERROR_CONFIG, ENAMETOOLONG,
                                 "containerd's configuration: %s is longer than %zu bytes", name,
                                 size - 1);
        }
        memcpy(ret, text, strlen(text) + 1);
        return 0;
}

static int add_bin_dir(const json_t *json, CriStatus *status, Error *err)
{
        if (isempty(json_string_value(json))) {
                return 0;
        }
        if (status->n_cni_bin_dirs == CRI_BIN_DIRS_MAX) {
                return error_set(err, ERROR_CONFIG, E2BIG,
                                 "containerd's configuration: cni has more than %d folders of "
                                 "programs",
                                 CRI_BIN_DIRS_MAX);
        }
        return copy_setting(json, "cni.binDirs", status->cni_bin_dirs[status->n_cni_bin_dirs++],
                            CRI_TEXT_MAX, err);
}

/* Reads the folders of CNI: binDir is a string before containerd 2.1; since then there is a list,
 * binDirs, beside it. */
static int parse_cni(const json_t *cni, CriStatus *status, Error *err)
{
        int r = copy_setting(json_object_get(cni, "confDir"), "cni.confDir", status->cni_conf_dir,
                             sizeof(status->cni_conf_dir), err);
        if (r < 0) {
                return r;
        }
        r = add_bin_dir(json_object_get(cni, "binDir"), status, err);
        size_t i;
        json_t *item;
        json_array_foreach(json_object_get(cni, "binDirs"), i, item) {
                if (r < 0) {
                        return r;
                }
                r = add_bin_dir(item, status, err);
        }
        return r;
}

/* Reads the cgroup driver of the runtime that containerd uses unless a pod names another. runc has
 * its options from there, and uses cgroupfs unless SystemdCgroup is true. */
static int parse_cgroup_driver(const json_t *containerd, CriStatus *status, Error *err)
{
        const char *name = json_string_value(json_object_get(containerd, "defaultRuntimeName"));
        const json_t *runtime =
                json_object_get(json_object_get(containerd, "runtimes"), strempty(name));
        if (!json_is_object(runtime)) {
                return error_set(err, ERROR_CONFIG, EPROTO,
                                 "containerd's configuration has no default runtime");
        }
        const json_t *options = json_object_get(runtime, "options");
        bool systemd = json_is_true(json_object_get(options, "SystemdCgroup"));
        (void) snprintf(status->cgroup_driver, sizeof(status->cgroup_driver), "%s",
                        systemd ? "systemd" : "cgroupfs");
        return 0;
}

/* Reads the configuration of containerd's CRI plugin, the same in 1.6 and 1.7:
 * https://github.com/containerd/containerd/blob/v1.7.24/pkg/cri/config/config.go
 * From 2.0 on it is that of the runtime alone, without that of images, so without the sandbox's:
 * https://github.com/containerd/containerd/blob/v2.3.7/internal/cri/config/config.go */
static int parse_config(ProtobufBytes text, CriStatus *status, Error *err)
{
        json_auto_t *config = text.data ? json_loadb(text.data, text.size, 0, NULL) : NULL;
        if (!json_is_object(config)) {
                return error_set(err, ERROR_RETRY, EBADMSG,
                                 "the reply has no configuration of containerd");
        }
        int r = parse_cgroup_driver(json_object_get(config, "containerd"), status, err);
        if (r < 0) {
                return r;
        }
        r = copy_setting(json_object_get(config, "sandboxImage"), "sandboxImage",
                         status->sandbox_image, sizeof(status->sandbox_image), err);
        return r < 0 ? r : parse_cni(json_object_get(config, "cni"), status, err);
}

int cri_parse_status(ProtobufBytes message, CriStatus *ret, Error *err)
{
        CriStatus status = {};
        ProtobufBytes config = {};
        ProtobufField field;
        int r;
        while ((r = protobuf_read(&message, &field)) > 0) {
                if (is_bytes(&field, STATUS_RESPONSE_STATUS)) {
                        r = parse_conditions(field.bytes, &status);
                } else if (is_bytes(&field, STATUS_RESPONSE_INFO)) {
                        r = parse_info(field.bytes, &config);
                }
                if (r < 0) {
                        break;
                }
        }
        if (r < 0) {
                return not_cri("StatusResponse", err);
        }
        r = parse_config(config, &status, err);
        if (r == 0) {
                *ret = status;
        }
        return r;
}

int cri_parse_version(ProtobufBytes message, CriVersion *ret, Error *err)
{
        CriVersion version = {};
        ProtobufField field;
        int r;
        while ((r = protobuf_read(&message, &field)) > 0) {
                if (is_bytes(&field, VERSION_RESPONSE_RUNTIME_NAME)) {
                        cri_copy_text(field.bytes, version.name, sizeof(version.name));
                } else if (is_bytes(&field, VERSION_RESPONSE_RUNTIME_VERSION)) {
                        cri_copy_text(field.bytes, version.version, sizeof(version.version));
                }
        }
        if (r < 0 || !version.name[0] || !version.version[0]) {
                return not_cri("VersionResponse", err);
        }
        *ret = version;
        return 0;
}

/* Reads an Image. Returns 0, or -EBADMSG, also for an id that is empty or no word. */
static int parse_image(ProtobufBytes message, CriImage *image)
{
        ProtobufField field;
        int r;
        while ((r = protobuf_read(&message, &field)) > 0) {
                if (is_bytes(&field, IMAGE_ID)) {
                        if (field.bytes.size >= sizeof(image->id)) {
                                return -EBADMSG;
                        }
                        cri_copy_text(field.bytes, image->id, sizeof(image->id));
                } else if (is_bool(&field, IMAGE_PINNED)) {
                        image->is_pinned = field.varint != 0;
                }
        }
        return r == 0 && (!image->id[0] || strchr(image->id, ' ')) ? -EBADMSG : r;
}

int cri_parse_image(ProtobufBytes message, CriImage *ret, Error *err)
{
        bool found = false;
        CriImage image = {};
        ProtobufField field;
        int r;
        while ((r = protobuf_read(&message, &field)) > 0) {
                if (is_bytes(&field, IMAGE_STATUS_RESPONSE_IMAGE)) {
                        found = true;
                        r = parse_image(field.bytes, &image);
                        if (r < 0) {
                                break;
                        }
                }
        }
        if (r < 0) {
                return not_cri("ImageStatusResponse", err);
        }
        if (found) {
                *ret = image;
        }
        return found;
}
