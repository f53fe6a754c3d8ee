/* SPDX-License-Identifier: Apache-2.0 */
#include "host/docker.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/time.h"
#include "host/http.h"

#define API             "/v1.40"
#define HASH_LABEL      "io.kube-bootstrap.config-hash"
#define STOP_S          "15"
#define STOP_TIMEOUT_MS 60000
#define PING_TIMEOUT_MS 5000

/* Checks the name of an image or a container. The characters are those that docker allows in such
 * names; none of them needs escaping in a URL. */
static int check_name(const char *what, const char *name, Error *err)
{
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789._-/:@";
        if (isempty(name) || name[strspn(name, allowed)] || strstr(name, "..")) {
                return error_set(err, ERROR_CONFIG, EINVAL, "not a name of %s: \"%s\"", what, name);
        }
        return 0;
}

typedef struct Call {
        const char *socket;
        const char *method;
        const char *path; /* below the version */
        const json_t *body;
        uint64_t timeout_ms;
} Call;

static int call(const Call *call, const Wait *wait, HttpReply *ret, Error *err)
{
        char url[512], effect[512];
        int n = snprintf(url, sizeof(url), "http://docker" API "%s", call->path);
        if (n < 0 || (size_t) n >= sizeof(url)) {
                return error_set(err, ERROR_CONFIG, ENAMETOOLONG, "name too long: %s", call->path);
        }
        (void) snprintf(effect, sizeof(effect), "docker %s %s", call->method, call->path);
        _cleanup_free_ char *body = NULL;
        if (call->body) {
                body = json_dumps(call->body, JSON_COMPACT);
                if (!body) {
                        return error_oom(err);
                }
        }
        size_t body_size = body ? strlen(body) : 0;
        HttpHeader type = { (char[]) { "Content-Type" }, (char[]) { "application/json" } };
        HttpRequest request = {
                .method = call->method,
                .url = url,
                .unix_socket = call->socket,
                .headers = &type,
                .n_headers = body ? 1 : 0,
                .body = body,
                .body_size = body_size,
                .timeout_ms = call->timeout_ms,
                .effect = effect,
        };
        return http_exchange(&request, wait, ret, err);
}

static int parse(const HttpReply *reply, json_t **ret, Error *err)
{
        json_t *json = json_loadb(reply->body.data, reply->body.size, 0, NULL);
        if (!json_is_object(json)) {
                json_decref(json);
                return error_set(err, ERROR_RETRY, EBADMSG, "docker's reply is no JSON object");
        }
        *ret = json;
        return 0;
}

/* Returns the error of an unexpected status. Docker gives the reason in "message". */
static int docker_refused(const Call *call, const HttpReply *reply, Error *err)
{
        json_auto_t *json = json_loadb(reply->body.data, reply->body.size, 0, NULL);
        const char *message = json_string_value(json_object_get(json, "message"));
        if (!message) {
                message = "no message";
        }
        bool retry = reply->status >= 500 || reply->status == 409; /* 409: change in progress */
        int r = error_set(err, retry ? ERROR_RETRY : ERROR_CONFIG, EIO,
                          "%s: docker %s %s: status %d: %s", call->socket, call->method, call->path,
                          reply->status, message);
        err->http_status = reply->status;
        return r;
}

int docker_ping(const char *socket, const Wait *wait, Error *err)
{
        _cleanup_http_reply_ HttpReply reply = {};
        Call ping = { socket, "GET", "/_ping", .timeout_ms = PING_TIMEOUT_MS };
        int r = call(&ping, wait, &reply, err);
        if (r == -ENOENT || r == -ECONNREFUSED) {
                return 0;
        }
        if (r < 0) {
                return r;
        }
        return reply.status == 200 ? 1 : docker_refused(&ping, &reply, err);
}

/* Returns 1 and the reply's object, or 0 if docker does not know that name. */
static int get(const char *socket, const char *path, const Wait *wait, json_t **ret, Error *err)
{
        _cleanup_http_reply_ HttpReply reply = {};
        Call get = { socket, "GET", path };
        int r = call(&get, wait, &reply, err);
        if (r < 0 || reply.status == 404) {
                return r;
        }
        if (reply.status != 200) {
                return docker_refused(&get, &reply, err);
        }
        r = parse(&reply, ret, err);
        return r < 0 ? r : 1;
}

static void docker_copy_text(const json_t *json, const char *key, char *ret, size_t size)
{
        const char *text = json_string_value(json_object_get(json, key));
        (void) snprintf(ret, size, "%s", strempty(text)); /* docker's own text; may be cut */
}

int docker_info(const char *socket, const Wait *wait, DockerInfo *ret, Error *err)
{
        json_auto_t *json = NULL;
        int r = get(socket, "/info", wait, &json, err);
        if (r <= 0) {
                return r < 0 ? r
                             : error_set(err, ERROR_CONFIG, EPROTO,
                                         "%s: docker knows no " API "/info", socket);
        }
        docker_copy_text(json, "CgroupDriver", ret->cgroup_driver, sizeof(ret->cgroup_driver));
        docker_copy_text(json, "ServerVersion", ret->server_version, sizeof(ret->server_version));
        docker_copy_text(json, "Driver", ret->storage_driver, sizeof(ret->storage_driver));
        json_int_t running = json_integer_value(json_object_get(json, "ContainersRunning"));
        ret->containers_running = running > 0 ? (unsigned long) running : 0;
        return 0;
}

/* Returns 1 and the image's description, or 0 if the image is not in the store. */
static int get_image(const char *socket, const char *image, const Wait *wait, json_t **ret,
                     Error *err)
{
        int r = check_name("an image", image, err);
        if (r < 0) {
                return r;
        }
        _cleanup_free_ char *path = string_format("/images/%s/json", image);
        return path ? get(socket, path, wait, ret, err) : error_oom(err);
}

static json_t *string_array(const char *const *strings)
{
        json_t *array = json_array();
        for (size_t i = 0; strings && strings[i]; i++) {
                if (json_array_append_new(array, json_string(strings[i])) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}

static json_t *mounts_array(const Container *container)
{
        json_t *array = json_array();
        FOREACH_ARRAY(mount, container->mounts, container->n_mounts) {
                json_t *item =
                        json_pack("{s:s, s:s, s:s, s:b}", "Type", "bind", "Source", mount->source,
                                  "Target", mount->target, "ReadOnly", (int) mount->read_only);
                if (json_array_append_new(array, item) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}

static json_t *devices_array(const char *const *devices)
{
        json_t *array = json_array();
        for (size_t i = 0; devices && devices[i]; i++) {
                json_t *item = json_pack("{s:s, s:s, s:s}", "PathOnHost", devices[i],
                                         "PathInContainer", devices[i], "CgroupPermissions", "rwm");
                if (json_array_append_new(array, item) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}

/* The score of a pod that is critical to its node, as kubelet sets it.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior
 */
#define OOM_SCORE (-997)

/* Makes the HostConfig. It has no log driver: the container's unit runs `docker start -a`, which
 * copies the output to the journal, and another copy would grow on the disk. */
static json_t *host_config(const Container *container)
{
        json_t *host =
                json_pack("{s:s, s:[s], s:[s], s:b, s:i, s:{s:s}, s:{s:s}}", "NetworkMode", "host",
                          "CapDrop", "ALL", "SecurityOpt", "no-new-privileges", "ReadonlyRootfs",
                          (int) container->read_only_root, "OomScoreAdj", OOM_SCORE,
                          "RestartPolicy", "Name", "no", "LogConfig", "Type", "none");
        if (json_object_set_new(host, "CapAdd", string_array(container->capabilities)) < 0 ||
            json_object_set_new(host, "Mounts", mounts_array(container)) < 0 ||
            json_object_set_new(host, "Devices", devices_array(container->devices)) < 0) {
                json_decref(host);
                return NULL;
        }
        return host;
}

/* Makes the body of the create request. The entry point holds the whole command, because docker
 * adds the image's own arguments only if the entry point is empty. */
static json_t *create_body(const Container *container)
{
        json_t *body = json_pack("{s:s}", "Image", container->image);
        if (json_object_set_new(body, "Entrypoint", string_array(container->argv)) < 0 ||
            json_object_set_new(body, "Env", string_array(container->environment)) < 0 ||
            json_object_set_new(body, "HostConfig", host_config(container)) < 0) {
                json_decref(body);
                return NULL;
        }
        return body;
}

/* Computes the SHA-256 of the canonical text of body and image id, and adds it to the body as a
 * label. */
static int add_hash(json_t *body, const char *image_id, char ret_hash[DOCKER_HASH_SIZE], Error *err)
{
        _cleanup_free_ char *text = json_dumps(body, JSON_COMPACT | JSON_SORT_KEYS);
        _cleanup_free_ char *all = text ? string_format("%s%s", text, image_id) : NULL;
        if (!all) {
                return error_oom(err);
        }
        digest_sha256_hex(all, strlen(all), ret_hash);
        int r = json_object_set_new(body, "Labels", json_pack("{s:s}", HASH_LABEL, ret_hash));
        return r < 0 ? error_oom(err) : 0;
}

/* Makes the body of the create request, and its hash. */
static int plan(const char *socket, const Container *container, const Wait *wait, json_t **ret_body,
                char ret_hash[DOCKER_HASH_SIZE], Error *err)
{
        json_auto_t *image = NULL, *body = NULL;
        int r = check_name("a container", container->name, err);
        if (r < 0) {
                return r;
        }
        r = get_image(socket, container->image, wait, &image, err);
        if (r < 0) {
                return r;
        }
        if (r == 0) {
                return error_set(err, ERROR_CONFIG, ENOENT,
                                 "image %s is not in the store of the docker at %s",
                                 container->image, socket);
        }
        const char *image_id = json_string_value(json_object_get(image, "Id"));
        if (!image_id) {
                return error_set(err, ERROR_RETRY, EBADMSG, "docker tells no id of image %s",
                                 container->image);
        }
        body = create_body(container);
        if (!body) {
                return error_oom(err);
        }
        r = add_hash(body, image_id, ret_hash, err);
        if (r == 0) {
                *ret_body = TAKE(body);
        }
        return r;
}

static const char *const state_names[_DOCKER_CONTAINER_STATE_MAX] = {
        [DOCKER_CONTAINER_ABSENT] = "absent",
        [DOCKER_CONTAINER_DIFFERENT] = "made from another configuration",
        [DOCKER_CONTAINER_STOPPED] = "stopped",
        [DOCKER_CONTAINER_RUNNING] = "running",
        [DOCKER_CONTAINER_LOST] = "running, docker says, but its process is gone",
};

const char *docker_container_state_to_string(DockerContainerState state)
{
        return state >= 0 && state < _DOCKER_CONTAINER_STATE_MAX ? state_names[state] : "invalid";
}

/* containerd tells dockerd of a process that ends. While it is itself away, or comes back, it tells
 * nobody, and dockerd takes the container for a running one until somebody stops it. */
static bool is_gone(json_int_t pid)
{
        return pid > 0 && pid <= INT_MAX && kill((pid_t) pid, 0) < 0 && errno == ESRCH;
}

static int docker_look(const char *socket, const char *name, const char *hash, const Wait *wait,
                       DockerContainerState *ret, Error *err)
{
        json_auto_t *json = NULL;
        _cleanup_free_ char *path = string_format("/containers/%s/json", name);
        int r = path ? get(socket, path, wait, &json, err) : error_oom(err);
        if (r < 0) {
                return r;
        }
        const char *label = NULL, *status = NULL;
        json_int_t pid = 0;
        if (r > 0) {
                (void) json_unpack(json, "{s:{s:{s:s}}}", "Config", "Labels", HASH_LABEL, &label);
                (void) json_unpack(json, "{s:{s:s, s?I}}", "State", "Status", &status, "Pid", &pid);
        }
        /* A "dead" container is one that docker failed to remove; it never starts again. */
        if (r == 0) {
                *ret = DOCKER_CONTAINER_ABSENT;
        } else if (!streq_ptr(label, hash) || streq_ptr(status, "dead")) {
                *ret = DOCKER_CONTAINER_DIFFERENT;
        } else if (streq_ptr(status, "running")) {
                *ret = is_gone(pid) ? DOCKER_CONTAINER_LOST : DOCKER_CONTAINER_RUNNING;
        } else {
                *ret = DOCKER_CONTAINER_STOPPED;
        }
        return 0;
}

int docker_container_look(const char *socket, const Container *container, const Wait *wait,
                          DockerContainerState *ret, Error *err)
{
        char hash[DOCKER_HASH_SIZE];
        json_auto_t *body = NULL;
        int r = plan(socket, container, wait, &body, hash, err);
        return r < 0 ? r : docker_look(socket, container->name, hash, wait, ret, err);
}

int docker_container_started(const char *socket, const char *name, const Wait *wait,
                             struct timespec *ret, Error *err)
{
        json_auto_t *json = NULL;
        _cleanup_free_ char *path = string_format("/containers/%s/json", name);
        int r = path ? get(socket, path, wait, &json, err) : error_oom(err);
        if (r <= 0) {
                return r;
        }
        const char *started = NULL;
        (void) json_unpack(json, "{s:{s:s}}", "State", "StartedAt", &started);
        return time_parse(started, ret) >= 0; /* Go's zero time (never started) is refused */
}

/* Sends the request. Returns 0 if the reply has one of the `good` statuses, which all mean that the
 * change is in effect. */
static int docker_change(const Call *request, const int *good, size_t n_good, const Wait *wait,
                         Error *err)
{
        _cleanup_http_reply_ HttpReply reply = {};
        int r = call(request, wait, &reply, err);
        if (r < 0) {
                return r;
        }
        FOREACH_ARRAY(status, good, n_good) {
                if (reply.status == *status) {
                        return 0;
                }
        }
        return docker_refused(request, &reply, err);
}

static int remove_container(const char *socket, const char *name, const Wait *wait, Error *err)
{
        static const int good[] = { 204, 304, 404 }; /* done, not running, absent */
        _cleanup_free_ char *stop = string_format("/containers/%s/stop?t=" STOP_S, name);
        _cleanup_free_ char *remove = string_format("/containers/%s?force=1&v=1", name);
        if (!stop || !remove) {
                return error_oom(err);
        }
        Call calls[] = {
                { socket, "POST", stop, .timeout_ms = STOP_TIMEOUT_MS },
                { socket, "DELETE", remove, .timeout_ms = STOP_TIMEOUT_MS },
        };
        int r = docker_change(&calls[0], good, ELEMENTS(good), wait, err);
        return r < 0 ? r : docker_change(&calls[1], good, ELEMENTS(good), wait, err);
}

int docker_container_create(const char *socket, const Container *container, const Wait *wait,
                            Error *err)
{
        static const int created[] = { 201 };
        char hash[DOCKER_HASH_SIZE];
        DockerContainerState state = DOCKER_CONTAINER_ABSENT;
        json_auto_t *body = NULL;
        int r = plan(socket, container, wait, &body, hash, err);
        if (r < 0) {
                return r;
        }
        r = docker_look(socket, container->name, hash, wait, &state, err);
        bool exists = state != DOCKER_CONTAINER_ABSENT && state != DOCKER_CONTAINER_DIFFERENT;
        if (r < 0 || exists) {
                return r;
        }
        if (state == DOCKER_CONTAINER_DIFFERENT) {
                r = remove_container(socket, container->name, wait, err);
                if (r < 0) {
                        return r;
                }
        }
        _cleanup_free_ char *path = string_format("/containers/create?name=%s", container->name);
        if (!path) {
                return error_oom(err);
        }
        Call create = { socket, "POST", path, .body = body, .timeout_ms = STOP_TIMEOUT_MS };
        r = docker_change(&create, created, ELEMENTS(created), wait, err);
        return r < 0 ? r : 1;
}
