/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/outcome.h"

#define FAILS     OUTCOME_FAILS
#define RETRIES   OUTCOME_RETRIES
#define STOPS_ALL OUTCOME_STOPS_ALL
#define ENDS      OUTCOME_ENDS
#define AGAIN     OUTCOME_AGAIN
#define NEVER     OUTCOME_NEVER
#define AT_ONCE   OUTCOME_AT_ONCE
#define LATER     OUTCOME_LATER

/* systemd restarts a daemon that ends before "ready", except after exit status 65 and 78
 * (RestartPreventExitStatus= of the unit). The stack hears at once only of failures with these two,
 * because SignalResource cannot be taken back.
 * https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_SignalResource.html */
/* clang-format off */
static const Outcome table[_ERROR_CLASS_MAX][_ERROR_SOURCE_MAX] = {
        /*                                      step       before  after  the stack hears */
        [ERROR_FATAL]  = { [ERROR_HERE]     = { FAILS,     ENDS,   AGAIN, NEVER },
                           [ERROR_FROM_AWS] = { FAILS,     ENDS,   AGAIN, NEVER } },
        [ERROR_RETRY]  = { [ERROR_HERE]     = { RETRIES,   ENDS,   AGAIN, NEVER },
                           [ERROR_FROM_AWS] = { RETRIES,   ENDS,   AGAIN, NEVER } },
        [ERROR_CONFIG] = { [ERROR_HERE]     = { FAILS,     ENDS,   AGAIN, AT_ONCE },
                           [ERROR_FROM_AWS] = { FAILS,     AGAIN,  AGAIN, LATER } },
        [ERROR_DENIED] = { [ERROR_HERE]     = { FAILS,     AGAIN,  AGAIN, LATER },
                           [ERROR_FROM_AWS] = { FAILS,     AGAIN,  AGAIN, LATER } },
        [ERROR_UNSAFE] = { [ERROR_HERE]     = { STOPS_ALL, ENDS,   ENDS,  AT_ONCE },
                           [ERROR_FROM_AWS] = { STOPS_ALL, ENDS,   ENDS,  AT_ONCE } },
};
/* clang-format on */

const Outcome *outcome_of(const Error *error)
{
        return &table[error->class][error->source];
}
