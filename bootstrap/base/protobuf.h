/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The part of protobuf's wire format that simple messages need
 * (https://protobuf.dev/programming-guides/encoding/). A message is a row of fields. A field has a
 * number and a value, and its number is found in the message's .proto file. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/string.h"

/* The wire types, by their numbers in the format. The missing ones, 3 and 4, are groups. */
typedef enum ProtobufType {
        PROTOBUF_VARINT = 0,
        PROTOBUF_FIXED64 = 1,
        PROTOBUF_BYTES = 2, /* string, bytes, a message, a map's entry */
        PROTOBUF_FIXED32 = 5,
} ProtobufType;

/* Names bytes of somebody else, who keeps them. */
typedef struct ProtobufBytes {
        const char *data; /* not terminated */
        size_t size;
} ProtobufBytes;

typedef struct ProtobufField {
        uint32_t number; /* from 1 to 2^29 - 1 */
        ProtobufType type;
        uint64_t varint;     /* the value of PROTOBUF_VARINT, else 0 */
        ProtobufBytes bytes; /* the value of the other types, a part of the message */
} ProtobufField;

/* Takes the next field off the front of *message. The caller skips fields that it does not know,
 * and those that have another type than it expects; it reads a message within a message by reading
 * that field's bytes. Returns 1 and the field, 0 at the end of the message, or -EBADMSG: a varint
 * that does not fit 64 bits, a value that passes the end of the message, the field number 0, or a
 * group (groups are deprecated, and proto3 has none). After a failure *message and *ret are
 * untouched. */
int protobuf_read(ProtobufBytes *message, ProtobufField *ret);

/* Each of these appends a field to a message. They return what buffer_append() returns; if one
 * fails, the message is of no use. `number` is from 1 to 2^29 - 1. */
int protobuf_append_bool(Buffer *message, uint32_t number, bool value);
int protobuf_append_bytes(Buffer *message, uint32_t number, const void *data, size_t n);
int protobuf_append_string(Buffer *message, uint32_t number, const char *s); /* UTF-8 */
