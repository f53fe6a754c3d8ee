/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the variant "torture" includes before every file of bootstrap/: each call that allocates may
 * be told to fail, as it would without memory, before it does anything. The tests' own calls and
 * those within libraries always succeed. */

#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <expat.h>
#include <glob.h>
#include <jansson.h>
#include <libmnl/libmnl.h>
#include <libmount/libmount.h>
#include <malloc.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

#include <blkid/blkid.h>

/* Counts one, and says whether it is the one to fail; then errno is ENOMEM. */
bool torture_fails(const char *file, int line);
/* abort() of the tests, which end so where what they need could not be made. */
_Noreturn void torture_give_up(void);
/* As jansson leaves them without memory: what it was given or made is released, *error is set. */
json_t *torture_json_drop(json_t *json);
json_t *torture_json_unread(json_error_t *error);

#define TORTURE(failure, call) (torture_fails(__FILE__, __LINE__) ? (failure) : (call))

#define malloc(n)             TORTURE(NULL, malloc(n))
#define calloc(n, size)       TORTURE(NULL, calloc(n, size))
#define realloc(p, n)         TORTURE(NULL, realloc(p, n))
#define reallocarray(p, n, s) TORTURE(NULL, reallocarray(p, n, s))
#define strdup(s)             TORTURE(NULL, strdup(s))
#define strndup(s, n)         TORTURE(NULL, strndup(s, n))
#define vasprintf(ret, f, ap) TORTURE(-1, vasprintf(ret, f, ap))
#define realpath(path, ret)   TORTURE(NULL, realpath(path, ret))
#define opendir(path)         TORTURE(NULL, opendir(path))
#define scandir(...)          TORTURE(-1, scandir(__VA_ARGS__))
#define glob(...)             TORTURE(GLOB_NOSPACE, glob(__VA_ARGS__))
#define pthread_create(...)   TORTURE(EAGAIN, pthread_create(__VA_ARGS__))

#define json_object()                TORTURE(NULL, json_object())
#define json_array()                 TORTURE(NULL, json_array())
#define json_string(s)               TORTURE(NULL, json_string(s))
#define json_integer(i)              TORTURE(NULL, json_integer(i))
#define json_deep_copy(json)         TORTURE(NULL, json_deep_copy(json))
#define json_dumps(json, flags)      TORTURE(NULL, json_dumps(json, flags))
#define json_dump_callback(...)      TORTURE(-1, json_dump_callback(__VA_ARGS__))
#define json_loads(s, flags, e)      TORTURE(torture_json_unread(e), json_loads(s, flags, e))
#define json_loadb(s, n, flags, e)   TORTURE(torture_json_unread(e), json_loadb(s, n, flags, e))
#define json_pack(...)               TORTURE(torture_json_drop(json_pack(__VA_ARGS__)), json_pack(__VA_ARGS__))
#define json_object_update(to, of)   TORTURE(-1, json_object_update(to, of))
#define json_object_set_new(o, k, v) json_object_set_new(o, k, TORTURE(torture_json_drop(v), v))
#define json_array_append_new(a, v)  json_array_append_new(a, TORTURE(torture_json_drop(v), v))

#define curl_easy_init()        TORTURE(NULL, curl_easy_init())
#define curl_multi_init()       TORTURE(NULL, curl_multi_init())
#define curl_share_init()       TORTURE(NULL, curl_share_init())
#define curl_slist_append(l, s) TORTURE(NULL, curl_slist_append(l, s))
#define XML_ParserCreate(s)     TORTURE(NULL, XML_ParserCreate(s))

#define mnt_new_context()              TORTURE(NULL, mnt_new_context())
#define mnt_new_table_from_file(f)     TORTURE(NULL, mnt_new_table_from_file(f))
#define blkid_new_probe()              TORTURE(NULL, blkid_new_probe())
#define mnl_socket_open2(bus, flags)   TORTURE(NULL, mnl_socket_open2(bus, flags))
#define sd_bus_new(...)                TORTURE(-ENOMEM, sd_bus_new(__VA_ARGS__))
#define sd_bus_open_system(...)        TORTURE(-ENOMEM, sd_bus_open_system(__VA_ARGS__))
#define sd_bus_path_encode(...)        TORTURE(-ENOMEM, sd_bus_path_encode(__VA_ARGS__))
#define sd_bus_call_async(...)         TORTURE(-ENOMEM, sd_bus_call_async(__VA_ARGS__))
#define sd_bus_match_signal_async(...) TORTURE(-ENOMEM, sd_bus_match_signal_async(__VA_ARGS__))
#define sd_bus_message_new_method_call(...) \
        TORTURE(-ENOMEM, sd_bus_message_new_method_call(__VA_ARGS__))
#define sd_bus_message_append(...)       TORTURE(-ENOMEM, sd_bus_message_append(__VA_ARGS__))
#define sd_bus_message_append_basic(...) TORTURE(-ENOMEM, sd_bus_message_append_basic(__VA_ARGS__))

#define EVP_PKEY_Q_keygen(...)             TORTURE(NULL, EVP_PKEY_Q_keygen(__VA_ARGS__))
#define HMAC(...)                          TORTURE(NULL, HMAC(__VA_ARGS__))
#define BIO_new(type)                      TORTURE(NULL, BIO_new(type))
#define BIO_new_mem_buf(p, n)              TORTURE(NULL, BIO_new_mem_buf(p, n))
#define PEM_read_bio_X509(...)             TORTURE(NULL, PEM_read_bio_X509(__VA_ARGS__))
#define PEM_read_bio_X509_REQ(...)         TORTURE(NULL, PEM_read_bio_X509_REQ(__VA_ARGS__))
#define PEM_read_bio_PrivateKey(...)       TORTURE(NULL, PEM_read_bio_PrivateKey(__VA_ARGS__))
#define PEM_write_bio_X509(...)            TORTURE(0, PEM_write_bio_X509(__VA_ARGS__))
#define PEM_write_bio_PUBKEY(...)          TORTURE(0, PEM_write_bio_PUBKEY(__VA_ARGS__))
#define PEM_write_bio_PKCS8PrivateKey(...) TORTURE(0, PEM_write_bio_PKCS8PrivateKey(__VA_ARGS__))
#define BN_new()                           TORTURE(NULL, BN_new())
#define BN_to_ASN1_INTEGER(...)            TORTURE(NULL, BN_to_ASN1_INTEGER(__VA_ARGS__))
#define ASN1_TIME_adj(...)                 TORTURE(NULL, ASN1_TIME_adj(__VA_ARGS__))
#define ASN1_INTEGER_new()                 TORTURE(NULL, ASN1_INTEGER_new())
#define ASN1_BIT_STRING_new()              TORTURE(NULL, ASN1_BIT_STRING_new())
#define ASN1_IA5STRING_new()               TORTURE(NULL, ASN1_IA5STRING_new())
#define ASN1_OCTET_STRING_new()            TORTURE(NULL, ASN1_OCTET_STRING_new())
#define ASN1_OCTET_STRING_dup(s)           TORTURE(NULL, ASN1_OCTET_STRING_dup(s))
#define ASN1_STRING_to_UTF8(...)           TORTURE(-1, ASN1_STRING_to_UTF8(__VA_ARGS__))
#define AUTHORITY_KEYID_new()              TORTURE(NULL, AUTHORITY_KEYID_new())
#define BASIC_CONSTRAINTS_new()            TORTURE(NULL, BASIC_CONSTRAINTS_new())
#define GENERAL_NAME_new()                 TORTURE(NULL, GENERAL_NAME_new())
#define GENERAL_NAMES_new()                TORTURE(NULL, GENERAL_NAMES_new())
#define OPENSSL_sk_new_null()              TORTURE(NULL, OPENSSL_sk_new_null())
#define OPENSSL_sk_push(s, p)              TORTURE(0, OPENSSL_sk_push(s, p))
#define X509_new()                         TORTURE(NULL, X509_new())
#define X509_NAME_new()                    TORTURE(NULL, X509_NAME_new())
#define X509_NAME_add_entry_by_NID(...)    TORTURE(0, X509_NAME_add_entry_by_NID(__VA_ARGS__))
#define X509_add1_ext_i2d(...)             TORTURE(0, X509_add1_ext_i2d(__VA_ARGS__))
