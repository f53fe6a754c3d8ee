/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/string.h"

/* The small JSON documents that one master leaves for the next, and for nodes: index, claim, volume
 * identity. They come from a bucket or a disk, so each is read strictly: bounded, "schema" 1, no
 * key twice, no key unknown, every value of a known form. Anything else is ERROR_UNSAFE (-EBADMSG):
 * waiting does not help, and a guess at what was meant could make a second cluster. */

#define DOCUMENT_SCHEMA 1

typedef enum DocumentSyntax {
        DOCUMENT_NUMBER,     /* uint64_t, at most `max` */
        DOCUMENT_NAME,       /* a cluster's name */
        DOCUMENT_CLUSTER_ID, /* 32 hexadecimal digits */
        DOCUMENT_SHA256,     /* 64 hexadecimal digits */
        DOCUMENT_VOLUME_ID,
        DOCUMENT_INSTANCE_ID,
        DOCUMENT_UUID,    /* 36 lower-case hexadecimal digits and hyphens */
        DOCUMENT_LABEL,   /* letters, digits, hyphens */
        DOCUMENT_TIME,    /* RFC 3339, UTC, whole seconds */
        DOCUMENT_MODE,    /* four octal digits */
        DOCUMENT_PATH,    /* letters, digits, ". _ - /" */
        DOCUMENT_NETWORK, /* IPv4, CIDR notation */
        DOCUMENT_DOMAIN,  /* of DNS, lower case */
        _DOCUMENT_SYNTAX_MAX,
        _DOCUMENT_SYNTAX_INVALID = -EINVAL,
} DocumentSyntax;

/* One row of a document's table: it drives the reader and the writer. Strings are arrays within the
 * structure, `size` bytes with the terminator. */
typedef struct DocumentField {
        const char *name;
        DocumentSyntax syntax;
        size_t offset;
        size_t size;
        uint64_t max;
        bool optional; /* strings only: "" when absent, left out when "" */
} DocumentField;

#define DOCUMENT_STRING(type, member, form)                                          \
        {                                                                            \
                .name = #member, .syntax = (form), .offset = offsetof(type, member), \
                .size = sizeof(((type *) 0)->member)                                 \
        }
#define DOCUMENT_OPTIONAL(type, member, form)                                        \
        {                                                                            \
                .name = #member, .syntax = (form), .offset = offsetof(type, member), \
                .size = sizeof(((type *) 0)->member), .optional = true               \
        }
/* A field of a structure within the structure; the name is that of the inner member. */
#define DOCUMENT_OPTIONAL_IN(type, outer, member, form)                                    \
        {                                                                                  \
                .name = #member, .syntax = (form), .offset = offsetof(type, outer.member), \
                .size = sizeof(((type *) 0)->outer.member), .optional = true               \
        }
#define DOCUMENT_UINT(type, member, limit)                                                    \
        {                                                                                     \
                .name = #member, .syntax = DOCUMENT_NUMBER, .offset = offsetof(type, member), \
                .size = sizeof(((type *) 0)->member), .max = (limit)                          \
        }

/* Returns true if s has the form. Never true for DOCUMENT_NUMBER. */
bool document_is(DocumentSyntax syntax, const char *s);

/* Parses a whole document of schema 1 and returns its object. `what` names the document in
 * messages. */
int document_parse(const char *what, const void *data, size_t n, size_t max_bytes, json_t **ret,
                   Error *err);

/* Fills the structure at `ret` from the object, which has these fields and n_further others that
 * the caller reads (the schema is one). */
int document_read(const char *what, const json_t *object, const DocumentField *fields, size_t n,
                  size_t n_further, void *ret, Error *err);

/* Sets the fields in the object. A value that the reader would refuse is ERROR_FATAL. */
int document_write(const char *what, const DocumentField *fields, size_t n, const void *value,
                   json_t *object, Error *err);

/* Appends the text of the object to *ret. A NULL object (out of memory) is -ENOMEM. */
int document_dump(const json_t *object, Buffer *ret, Error *err);

/* Writes the current time as a DOCUMENT_TIME. */
void document_now(char ret[24]);
