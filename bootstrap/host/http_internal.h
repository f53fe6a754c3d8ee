/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <curl/curl.h>

#include "base/error.h"

/* Makes the object that all threads share when they speak HTTP (CURLOPT_SHARE); a process has one.
 * Threads share the addresses of the few names that all of them resolve, and TLS sessions, so one
 * thread can resume a session of another. Connections are not shared: libcurl cannot share them
 * between threads. https://curl.se/libcurl/c/libcurl-share.html */
int http_share_new(CURLSH **ret, Error *err);

/* Must be called when no handle uses the object any more. NULL is fine. */
void http_share_free(CURLSH *share);
