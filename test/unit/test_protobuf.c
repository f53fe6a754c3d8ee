/* SPDX-License-Identifier: Apache-2.0 */
#include "base/protobuf.h"

#include <errno.h>

#include "harness.h"

#define BYTES(text) ((ProtobufBytes) { text, sizeof(text) - 1 })

/* The examples of https://protobuf.dev/programming-guides/encoding/, and values at the ends of
 * their ranges. */
static void test_values(void)
{
        static const struct {
                ProtobufBytes message;
                uint32_t number;
                ProtobufType type;
                uint64_t varint;
                const char *bytes;
        } cases[] = {
                { BYTES("\x08\x96\x01"), 1, PROTOBUF_VARINT, 150, "" },
                { BYTES("\x12\x07testing"), 2, PROTOBUF_BYTES, 0, "testing" },
                { BYTES("\x1a\x03\x08\x96\x01"), 3, PROTOBUF_BYTES, 0, "\x08\x96\x01" },
                { BYTES("\x12\x00"), 2, PROTOBUF_BYTES, 0, "" },
                { BYTES("\x0d"
                        "abcd"),
                  1, PROTOBUF_FIXED32, 0, "abcd" },
                { BYTES("\x09"
                        "abcdefgh"),
                  1, PROTOBUF_FIXED64, 0, "abcdefgh" },
                { BYTES("\x08\x00"), 1, PROTOBUF_VARINT, 0, "" },
                { BYTES("\x08\x80\x00"), 1, PROTOBUF_VARINT, 0, "" }, /* longer than it needs */
                { BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 1, PROTOBUF_VARINT,
                  UINT64_MAX, "" },
                { BYTES("\xf8\xff\xff\xff\x0f\x01"), (1 << 29) - 1, PROTOBUF_VARINT, 1, "" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                ProtobufBytes message = c->message;
                ProtobufField field = {};
                CHECK_INT(protobuf_read(&message, &field), 1);
                CHECK_INT(field.number, c->number);
                CHECK_INT(field.type, c->type);
                CHECK(field.varint == c->varint);
                CHECK_INT(field.bytes.size, strlen(c->bytes));
                CHECK(field.bytes.size == 0 ||
                      memcmp(field.bytes.data, c->bytes, field.bytes.size) == 0);
                CHECK_INT(protobuf_read(&message, &field), 0); /* all of it was read */
        }
}

static void test_refused(void)
{
        static const ProtobufBytes cases[] = {
                BYTES("\x08"),                                          /* no value */
                BYTES("\x08\x96"),                                      /* the varint goes on */
                BYTES("\x88"),                                          /* so does the tag */
                BYTES("\x12\x07testin"),                                /* a byte is missing */
                BYTES("\x12"),                                          /* no length */
                BYTES("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"), /* 2^64 - 1 bytes */
                BYTES("\x0d"
                      "abc"),
                BYTES("\x09"
                      "abcdefg"),
                BYTES("\x00\x01"), /* field number 0 */
                BYTES("\x02\x00"),
                BYTES("\x0b\x0c"), /* a group */
                BYTES("\x0c"),
                BYTES("\x0e\x01"), /* types that are none */
                BYTES("\x0f\x01"),
                BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"),     /* 65 bits */
                BYTES("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), /* eleven bytes */
                BYTES("\x80\x80\x80\x80\x10\x01"),                         /* field number 2^29 */
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                ProtobufBytes message = *c;
                ProtobufField field = { .number = 7 };
                CHECK_INT(protobuf_read(&message, &field), -EBADMSG);
                CHECK(message.data == c->data && message.size == c->size);
                CHECK_INT(field.number, 7); /* untouched */
        }
        ProtobufBytes none = {};
        CHECK_INT(protobuf_read(&none, &(ProtobufField) {}), 0);
}

/* A caller that knows field 2 alone finds it between others. */
static void test_unknown_fields(void)
{
        ProtobufBytes message = BYTES("\x08\x01\x1a\x02xy\x25"
                                      "abcd\x12\x02ok\x29"
                                      "abcdefgh");
        ProtobufField field;
        unsigned n = 0, found = 0;
        while (protobuf_read(&message, &field) > 0) {
                n++;
                found += field.number == 2 && field.bytes.size == 2 &&
                         memcmp(field.bytes.data, "ok", 2) == 0;
        }
        CHECK_INT(n, 5);
        CHECK_INT(found, 1);
        CHECK_INT(message.size, 0);
}

static void test_written(void)
{
        char text[201];
        _cleanup_buffer_ Buffer message = {}, small = { .max = 2 };
        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        CHECK_INT(protobuf_append_bool(&message, 1, true), 0);
        CHECK_INT(protobuf_append_bool(&message, 16, false), 0);
        CHECK_INT(protobuf_append_string(&message, 2, "testing"), 0);
        CHECK_INT(protobuf_append_bytes(&message, 3, "a\0b", 3), 0);
        CHECK_INT(protobuf_append_bytes(&message, 4, NULL, 0), 0);
        CHECK_INT(protobuf_append_string(&message, 5, text), 0);
        static const char expected[] = "\x08\x01\x80\x01\x00\x12\x07testing\x1a\x03"
                                       "a\0b\x22\x00"
                                       "\x2a\xc8\x01xxx";
        REQUIRE(message.size == sizeof(expected) - 1 + 197);
        CHECK(memcmp(message.data, expected, sizeof(expected) - 1) == 0);
        CHECK_INT(protobuf_append_string(&small, 1, "testing"), -EFBIG);
}

int main(void)
{
        test_case("values of every type", test_values);
        test_case("what is no field is refused", test_refused);
        test_case("unknown fields are passed over", test_unknown_fields);
        test_case("what is written has the format's bytes", test_written);
        return test_done();
}
