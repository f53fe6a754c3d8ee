/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of one cluster's beginning: the volume's identity, the claim, and the record of the
 * volume's formatting. Whatever is accepted is written and read back the same, and leads to a
 * decision. */
#include <stdint.h>
#include <stdlib.h>

#include "cluster/format_record.h"
#include "cluster/lineage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_identity(const LineageIdentity *identity)
{
        LineageIdentity again = {};
        Error err = {};
        _cleanup_buffer_ Buffer text = {};
        if (lineage_identity_format(identity, &text, &err) < 0 ||
            lineage_identity_parse(text.data, text.size, &again, &err) < 0 ||
            memcmp(&again, identity, sizeof(again)) != 0) {
                abort();
        }
}

static void check_claim(const Claim *claim)
{
        Claim again = {};
        Error err = {};
        _cleanup_buffer_ Buffer text = {};
        if (claim_format(claim, &text, &err) < 0 ||
            claim_parse(text.data, text.size, &again, &err) < 0 ||
            memcmp(&again, claim, sizeof(again)) != 0) {
                abort();
        }
}

static void check_record(const FormatRecord *record)
{
        FormatRecord again = {};
        Error err = {};
        _cleanup_buffer_ Buffer text = {};
        if (format_record_format(record, &text, &err) < 0 ||
            format_record_parse(text.data, text.size, &again, &err) < 0 ||
            memcmp(&again, record, sizeof(again)) != 0) {
                abort();
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        FormatRecord record = {};
        LineageIdentity identity = {};
        Claim claim = {};
        Error err = {};
        bool is_identity = lineage_identity_parse(data, size, &identity, &err) >= 0;
        bool is_claim = claim_parse(data, size, &claim, &err) >= 0;
        LineageScene scene = {
                .cluster_name = "blue",
                .volume_id = "vol-0123456789abcdef0",
                .instance_id = "i-0123456789abcdef0",
                .bucket_url = "s3://bucket",
                .identity = is_identity ? &identity : NULL,
                .claim = is_claim ? &claim : NULL,
        };
        if (is_identity) {
                check_identity(&identity);
        }
        if (is_claim) {
                check_claim(&claim);
        }
        if (format_record_parse(data, size, &record, &err) >= 0) {
                check_record(&record);
        }
        if (lineage_decide(&scene, 0) == LINEAGE_REFUSE && lineage_refusal(&scene, &err) >= 0) {
                abort();
        }
        return 0;
}
