/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/wait.h"

/* A client for the part of the Kubernetes API that a boot needs: JSON over host/http, with a client
 * certificate or a token. https://kubernetes.io/docs/reference/using-api/api-concepts/
 *
 * The API server's status decides the class of an error. 401 and 403 are ERROR_DENIED; 408, 409,
 * 410, 429 and 5xx (and a refused connection) are ERROR_RETRY; any other refusal is ERROR_FATAL.
 * http_status is filled, and the message is the server's own. */

typedef struct KubeApi KubeApi;

/* Reads the credentials; makes no request. server: "https://HOST:PORT". ca_file is read again with
 * each request.
 *  - _open_file: a PEM file with certificate and key, as kubelet keeps its own
 *    (kubelet-client-current.pem).
 *  - _open_kubeconfig: a kubeconfig with certificate and key embedded, in the form that
 *    kubeconfig_format() writes, or in YAML, which it wrote before.
 *  - _open_token: a bearer token, which is copied.
 * A missing file is -ENOENT (ERROR_RETRY); a file without credentials is ERROR_CONFIG. */
int kube_api_open_file(const char *server, const char *ca_file, const char *pem_file, KubeApi **ret,
                       Error *err);
int kube_api_open_kubeconfig(const char *server, const char *ca_file, const char *kubeconfig,
                             KubeApi **ret, Error *err);
int kube_api_open_token(const char *server, const char *ca_file, const Secret *token, KubeApi **ret,
                        Error *err);
void kube_api_free(KubeApi *api);
DEFINE_CLEANUP(KubeApi *, kube_api_free);
#define _cleanup_kube_api_ _cleanup_(kube_api_freep)

/* Sends GET /readyz. Returns 1 if the API server says ok; 0 if it says otherwise, does not answer,
 * or nobody listens. A denied request is an error.
 * https://kubernetes.io/docs/reference/using-api/health-checks/ */
int kube_api_is_ready(KubeApi *api, const Wait *wait, Error *err);

/* Sends GET for an absolute path ("/api/v1/nodes/NAME"). Returns 1 and *ret, which the caller
 * frees, or 0 if there is no such object (404). */
int kube_api_get(KubeApi *api, const char *path, const Wait *wait, json_t **ret, Error *err);

/* Visits all items of a collection, page by page, until visit fails, or returns 1: that it has seen
 * enough. metadata_only asks only for the items' metadata (PartialObjectMetadata), without a Node's
 * long status. The path may have a query, with a page size of its own ("limit=10") where items may
 * be large. More than KUBE_API_LIST_MAX items are ERROR_FATAL. */
#define KUBE_API_LIST_MAX 10000
typedef int KubeApiVisit(const json_t *item, void *userdata, Error *err);
int kube_api_list(KubeApi *api, const char *path, bool metadata_only, const Wait *wait,
                  KubeApiVisit *visit, void *userdata, Error *err);

/* kube_api_change() sends one of these requests. `body` is borrowed, NULL for none; PATCH is a JSON
 * merge patch (RFC 7386). Returns 1 if done, 0 if the object to change does not exist (404). An
 * object that already exists, or has changed meanwhile (409), is -EEXIST: the caller must read it
 * again. */
typedef enum KubeApiMethod {
        KUBE_API_POST,
        KUBE_API_PUT,
        KUBE_API_PATCH,
        KUBE_API_DELETE,
        _KUBE_API_METHOD_MAX,
        _KUBE_API_METHOD_INVALID = -EINVAL,
} KubeApiMethod;
int kube_api_change(KubeApi *api, KubeApiMethod method, const char *path, const json_t *body,
                    const Wait *wait, Error *err);

/* Returns the text at a path of names within an object ("metadata.name"), or "" if there is none. A
 * name that contains a dot cannot be reached. */
const char *kube_api_text(const json_t *object, const char *path);
