/* SPDX-License-Identifier: Apache-2.0 */
#include "base/protobuf.h"

#include <errno.h>

#define VARINT_BYTES_MAX 10 /* of seven bits each: 64 bits */
#define TYPE_BITS        3  /* of a field's tag; the others are its number */
#define NUMBER_MAX       ((UINT32_C(1) << 29) - 1)

/* Takes n bytes off the front of *rest. Returns false if there are fewer. */
static bool take_bytes(ProtobufBytes *rest, uint64_t n, ProtobufBytes *ret)
{
        if (n > rest->size) {
                return false;
        }
        *ret = (ProtobufBytes) { rest->data, (size_t) n };
        rest->data += n;
        rest->size -= (size_t) n;
        return true;
}

/* Takes a varint off the front of *rest. Returns false if its end is missing, or if it has more
 * than 64 bits: the tenth byte holds only the highest of them. A varint may be longer than its
 * value needs. */
static bool take_varint(ProtobufBytes *rest, uint64_t *ret)
{
        uint64_t value = 0;
        for (unsigned i = 0; i < rest->size; i++) {
                unsigned char byte = (unsigned char) rest->data[i];
                if (i == VARINT_BYTES_MAX - 1 && byte > 1) {
                        return false;
                }
                value |= (uint64_t) (byte & 0x7f) << (7 * i);
                if (!(byte & 0x80)) {
                        ProtobufBytes taken;
                        *ret = value;
                        return take_bytes(rest, i + 1, &taken);
                }
        }
        return false;
}

/* Takes the value of a field whose type is known off the front of *rest. */
static bool take_field_value(ProtobufBytes *rest, ProtobufField *field)
{
        uint64_t n = 0;
        switch (field->type) {
        case PROTOBUF_VARINT:
                return take_varint(rest, &field->varint);
        case PROTOBUF_FIXED64:
                return take_bytes(rest, 8, &field->bytes);
        case PROTOBUF_BYTES:
                return take_varint(rest, &n) && take_bytes(rest, n, &field->bytes);
        case PROTOBUF_FIXED32:
                return take_bytes(rest, 4, &field->bytes);
        }
        return false; /* a group, or a type that the format does not have */
}

int protobuf_read(ProtobufBytes *message, ProtobufField *ret)
{
        if (message->size == 0) {
                return 0;
        }
        uint64_t tag = 0;
        ProtobufBytes rest = *message;
        if (!take_varint(&rest, &tag)) {
                return -EBADMSG;
        }
        uint64_t number = tag >> TYPE_BITS;
        if (number == 0 || number > NUMBER_MAX) {
                return -EBADMSG;
        }
        ProtobufField field = { .number = (uint32_t) number,
                                .type = (ProtobufType) (tag & ((1 << TYPE_BITS) - 1)) };
        if (!take_field_value(&rest, &field)) {
                return -EBADMSG;
        }
        *message = rest;
        *ret = field;
        return 1;
}

static int append_varint(Buffer *message, uint64_t value)
{
        unsigned char bytes[VARINT_BYTES_MAX];
        size_t n = 0;
        for (; value > 0x7f; value >>= 7) {
                bytes[n++] = (unsigned char) (value | 0x80);
        }
        bytes[n++] = (unsigned char) value;
        return buffer_append(message, bytes, n);
}

static int append_tag(Buffer *message, uint32_t number, ProtobufType type)
{
        return append_varint(message, (uint64_t) number << TYPE_BITS | type);
}

int protobuf_append_bool(Buffer *message, uint32_t number, bool value)
{
        int r = append_tag(message, number, PROTOBUF_VARINT);
        return r < 0 ? r : append_varint(message, value);
}

int protobuf_append_bytes(Buffer *message, uint32_t number, const void *data, size_t n)
{
        int r = append_tag(message, number, PROTOBUF_BYTES);
        if (r < 0) {
                return r;
        }
        r = append_varint(message, n);
        return r < 0 ? r : buffer_append(message, data, n);
}

int protobuf_append_string(Buffer *message, uint32_t number, const char *s)
{
        return protobuf_append_bytes(message, number, s, strlen(s));
}
