/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <jansson.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/secret.h"
#include "base/wait.h"

/* The Kubernetes API as far as a boot needs it: JSON over host/http, with a client certificate.
 * https://kubernetes.io/docs/reference/using-api/api-concepts/
 *
 * What the API server answers decides the class of an error: 401 and 403 are ERROR_DENIED, 409, 429
 * and 5xx (and nobody listening) ERROR_RETRY, another refusal ERROR_FATAL; http_status is filled,
 * and the message is the server's own. */

typedef struct KubeApi KubeApi;

/* Reads the credentials; makes no request. server: "https://HOST:PORT". The authority's file is
 * read with each request.
 *  - _open_file: a PEM file with certificate and key, as kubelet keeps its own
 *    (kubelet-client-current.pem).
 *  - _open_kubeconfig: certificate and key embedded, as kubeconfig_format() writes it, or wrote it
 *    when it was YAML.
 * A file that is not there is -ENOENT (ERROR_RETRY); one without credentials ERROR_CONFIG. */
int kube_api_open_file(const char *server, const char *ca_file, const char *pem_file, KubeApi **ret,
                       Error *err);
int kube_api_open_kubeconfig(const char *server, const char *ca_file, const char *kubeconfig,
                             KubeApi **ret, Error *err);
void kube_api_free(KubeApi *api);
DEFINE_CLEANUP(KubeApi *, kube_api_free);
#define _cleanup_kube_api_ _cleanup_(kube_api_freep)

/* GET /readyz: 1 it says ok; 0 it does not, or says nothing, or nobody listens. Not being let in is
 * an error. https://kubernetes.io/docs/reference/using-api/health-checks/ */
int kube_api_is_ready(KubeApi *api, const Wait *wait, Error *err);

/* GET of an absolute path, "/api/v1/nodes/NAME": 1, caller frees; 0 if there is none (404). */
int kube_api_get(KubeApi *api, const char *path, const Wait *wait, json_t **ret, Error *err);

/* Everything of a collection, page by page; the visit's failure ends it. metadata_only asks for the
 * items' metadata alone (PartialObjectMetadata), which spares a Node's long status. A query may
 * stand in the path. More than KUBE_API_LIST_MAX items is ERROR_FATAL. */
#define KUBE_API_LIST_MAX 10000
typedef int KubeApiVisit(const json_t *item, void *userdata, Error *err);
int kube_api_list(KubeApi *api, const char *path, bool metadata_only, const Wait *wait,
                  KubeApiVisit *visit, void *userdata, Error *err);

/* The changes. `body` is borrowed, NULL for none; PATCH is a JSON merge patch (RFC 7386). 1 done; 0
 * if what is to be changed is not there (404). What exists already, or changed meanwhile (409), is
 * -EEXIST: look again. */
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

/* The text at a path of names within an object ("metadata.name"), "" if there is none. A name with
 * a dot cannot be reached so. */
const char *kube_api_text(const json_t *object, const char *path);
