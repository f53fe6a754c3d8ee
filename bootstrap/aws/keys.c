/* SPDX-License-Identifier: Apache-2.0 */
#include "aws/keys.h"

#include <string.h>

void aws_keys_done(AwsKeys *keys)
{
        keys->secret_access_key.wipe = keys->session_token.wipe = true;
        buffer_done(&keys->secret_access_key);
        buffer_done(&keys->session_token);
        explicit_bzero(keys->access_key_id, sizeof(keys->access_key_id));
}
