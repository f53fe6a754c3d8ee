/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What tests of steps share: EC2's answers as a function of the request, and one row of the table
 * run by the real engine. */

#include "engine/machine.h"
#include "host/http.h"
#include "scripted_server.h"
#include "steps/boot.h"

#define INSTANCE "i-0123456789abcdef0"
#define HOLDER   "i-0fedcba9876543210"
#define ENI      "eni-0123456789abcdef0"
#define ZONE     "us-east-1a"

extern ScriptedServer server;
extern Boot boot;
extern unsigned deadline_s; /* of the step; test_patience_s() at first */

char *ec2_reply(const char *format, ...) __attribute__((format(printf, 1, 2)));

char *ec2_error(const char *status, const char *code, const char *message);

/* The reply of STS to a proof: an access key "ASIA7X" is that of instance i-7x with the role `role`
 * in account 123456789012, and "ASIABAD" that of nobody. */
char *sts_reply(const char *request, const char *role);

bool is_action(const char *request, const char *action);

/* How often the action was asked for. */
unsigned count_action(const char *action);

/* A boot that knows its instance and talks to the server. */
void start_world(void);

/* Runs rows of a table by themselves; returns machine_run()'s result, and sets *ret_status. */
int run_rows(const Step *steps, size_t n_steps, MachineMode mode, MachineStatus *ret_status,
             Error *err);

/* Runs one row with these functions, a short retry policy and the deadline deadline_s; sets
 * *ret_status to the row's. */
int run_step(StepFunction *probe, StepFunction *apply, MachineMode mode, StepStatus *ret_status,
             Error *err);
