/* SPDX-License-Identifier: Apache-2.0 */
/* What the stack that launched an instance is told, as CloudFormation hears it. */
#include "steps/cfn_signal.h"

#include <errno.h>

#include "aws/cloudformation.h"
#include "ec2_world.h"

#define TEXT(s) ((char[]) { s })
#define STACK   "arn:aws:cloudformation:us-east-1:123456789012:stack/kube/1-2"
#define TAKEN                                                                                    \
        "<SignalResourceResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">" \
        "<ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></SignalResourceResponse>"
#define REFUSED(code, message)                                                          \
        "<ErrorResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">" \
        "<Error><Type>Sender</Type><Code>" code "</Code><Message>" message "</Message>" \
        "</Error><RequestId>r-1</RequestId></ErrorResponse>"
#define XML "Content-Type: text/xml\r\n"

static void fresh(const char *name, const char *resource)
{
        static char names[2][100];
        (void) snprintf(names[0], sizeof(names[0]), "%s", name);
        (void) snprintf(names[1], sizeof(names[1]), "%s", resource);
        boot.config_known = true;
        boot.config.stack_name = names[0];
        boot.config.stack_resource = names[1];
        server_reset(&server, NULL);
}

static void test_words(void)
{
        Wait wait = test_patience();
        Error err = {};
        fresh(STACK, "MasterGroup");
        server_script(&server, "200 OK", XML, TAKEN);
        CHECK_INT(cfn_signal_send(&boot, true, &wait, &err), 1);
        CHECK_INT(cfn_signal_send(&boot, false, &wait, &err), 1);
        CHECK_CONTAINS(server_request(&server, 0), "/us-east-1/cloudformation/aws4_request");
        CHECK_CONTAINS(server_request(&server, 0),
                       "\r\n\r\nAction=SignalResource&Version=2010-05-15&StackName=kube"
                       "&LogicalResourceId=MasterGroup&UniqueId=" INSTANCE "&Status=SUCCESS");
        CHECK_CONTAINS(server_request(&server, 1), "&UniqueId=" INSTANCE "&Status=FAILURE");
}

/* The ids are as AWS documents them for each partition; a name has no slash. */
static void test_names(void)
{
        static const struct {
                const char *stack, *sent;
        } cases[] = {
                { STACK, "StackName=kube&" },
                { "arn:aws-cn:cloudformation:cn-north-1:1:stack/a-b/0-1", "StackName=a-b&" },
                { "arn:aws-us-gov:cloudformation:us-gov-west-1:1:stack/g/0-1", "StackName=g&" },
                { "arn:aws-eusc:cloudformation:eusc-de-east-1:1:stack/eu/0-1", "StackName=eu&" },
                { "kubernetes", "StackName=kubernetes&" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Wait wait = test_patience();
                Error err = {};
                fresh(c->stack, "NodeGroup");
                server_script(&server, "200 OK", XML, TAKEN);
                CHECK_INT(cfn_signal_send(&boot, true, &wait, &err), 1);
                CHECK_CONTAINS(server_request(&server, 0), c->sent);
                CHECK_CONTAINS(server_request(&server, 0), "&LogicalResourceId=NodeGroup&");
        }
}

static void test_nobody_to_tell(void)
{
        Wait wait = test_patience();
        Error err = {};
        fresh("", "");
        CHECK_INT(cfn_signal_send(&boot, true, &wait, &err), 0);
        CHECK_INT(server_count(&server), 0);
}

static void test_answers(void)
{
        static const struct {
                const char *status, *body;
                int result;
                ErrorClass class;
                const char *says;
        } cases[] = {
                { "400 Bad Request",
                  REFUSED("ValidationError", "Stack kube is in CREATE_COMPLETE state and cannot be "
                                             "signaled"),
                  -EALREADY, ERROR_CONFIG, "is in CREATE_COMPLETE state" },
                { "400 Bad Request",
                  REFUSED("ValidationError", "Signal with ID " INSTANCE " for resource MasterGroup "
                                             "already exists"),
                  -EALREADY, ERROR_CONFIG, "already exists" },
                { "403 Forbidden",
                  REFUSED("AccessDenied", "User: u is not authorized to perform: "
                                          "cloudformation:SignalResource on resource: x"),
                  -EACCES, ERROR_DENIED, "needs cloudformation:SignalResource on kube" },
                { "500 Internal Server Error", REFUSED("InternalFailure", "oops"), -EAGAIN,
                  ERROR_RETRY, "InternalFailure" },
                { "200 OK", "nonsense", -EBADMSG, ERROR_RETRY, "cloudformation:SignalResource" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Wait wait = test_wait(2);
                Error err = {};
                fresh(STACK, "MasterGroup");
                server_script(&server, c->status, XML, c->body);
                CHECK_INT(cfn_signal_send(&boot, true, &wait, &err), c->result);
                CHECK_STR(error_class_to_string(err.class), error_class_to_string(c->class));
                CHECK_CONTAINS(err.message, c->says);
        }
}

static void test_throttled(void)
{
        Wait wait = test_patience();
        Error err = {};
        fresh(STACK, "MasterGroup");
        server_script(&server, "400 Bad Request", XML, REFUSED("Throttling", "Rate exceeded"));
        server_script(&server, "200 OK", XML, TAKEN);
        CHECK_INT(cfn_signal_send(&boot, true, &wait, &err), 1);
        CHECK_INT(server_count(&server), 2);
}

int main(void)
{
        start_world();
        (void) setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", getenv("AWS_ENDPOINT_URL_EC2"), 1);
        (void) unsetenv("AWS_ENDPOINT_URL_EC2");
        test_case("ready and failed, as CloudFormation hears them", test_words);
        test_case("the stack is named by its name, in all partitions", test_names);
        test_case("without a stack nobody is told", test_nobody_to_tell);
        test_case("answers", test_answers);
        test_case("a throttled word is said again", test_throttled);
        server_reset(&server, NULL);
        aws_client_free(boot.aws);
        credentials_free(boot.credentials);
        http_done();
        return test_done();
}
