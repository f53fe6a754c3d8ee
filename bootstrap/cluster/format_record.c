/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/format_record.h"

#include <errno.h>
#include <stdio.h>

#include "cluster/document.h"

#define WHAT "the record of the volume's formatting"

static const DocumentField fields[] = {
        DOCUMENT_STRING(FormatRecord, cluster_name, DOCUMENT_NAME),
        DOCUMENT_STRING(FormatRecord, volume_id, DOCUMENT_VOLUME_ID),
        DOCUMENT_STRING(FormatRecord, instance_id, DOCUMENT_INSTANCE_ID),
        DOCUMENT_STRING(FormatRecord, uuid, DOCUMENT_UUID),
        DOCUMENT_STRING(FormatRecord, created, DOCUMENT_TIME),
};

static const char *const states[_FORMAT_STATE_MAX] = {
        [FORMAT_FORMATTING] = "formatting",
        [FORMAT_FORMATTED] = "formatted",
};

void format_record_name(const char *volume_id, char ret[FORMAT_RECORD_NAME_MAX])
{
        (void) snprintf(ret, FORMAT_RECORD_NAME_MAX, "volumes/%s.json", volume_id);
}

static FormatState state_from_string(const char *s)
{
        for (FormatState state = 0; s && state < _FORMAT_STATE_MAX; state++) {
                if (streq(states[state], s)) {
                        return state;
                }
        }
        return _FORMAT_STATE_INVALID;
}

int format_record_parse(const void *data, size_t n, FormatRecord *ret, Error *err)
{
        json_auto_t *root = NULL;
        FormatRecord record = {};
        int r = document_parse(WHAT, data, n, FORMAT_RECORD_BYTES_MAX, &root, err);
        if (r < 0) {
                return r;
        }
        r = document_read(WHAT, root, fields, ELEMENTS(fields), 2, &record, err);
        if (r < 0) {
                return r;
        }
        record.state = state_from_string(json_string_value(json_object_get(root, "state")));
        if (record.state < 0) {
                return error_set(err, ERROR_UNSAFE, EBADMSG,
                                 "%s: state is neither \"formatting\" nor \"formatted\"", WHAT);
        }
        *ret = record;
        return 0;
}

int format_record_format(const FormatRecord *record, Buffer *ret, Error *err)
{
        json_auto_t *root =
                json_pack("{s:i, s:s}", "schema", DOCUMENT_SCHEMA, "state", states[record->state]);
        int r = document_write(WHAT, fields, ELEMENTS(fields), record, root, err);
        return r < 0 ? r : document_dump(root, ret, err);
}
