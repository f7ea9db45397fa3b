package contract

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// types are the types of resources that the stack has, each with a test that holds what
// its resources open, or the reason why they open nothing. A new type, such as a
// function's URL or the policy of a secret, needs a line here, and so a decision.
var types = map[string]string{
	"AWS::DynamoDB::Table":                       "TestTables",
	"AWS::EC2::InternetGateway":                  "TestTheNetworkIsClosed",
	"AWS::EC2::Route":                            "TestTheNetworkIsClosed",
	"AWS::EC2::RouteTable":                       "TestTheNetworkIsClosed",
	"AWS::EC2::SecurityGroup":                    "TestTheNetworkIsClosed",
	"AWS::EC2::Subnet":                           "TestTheNetworkIsClosed",
	"AWS::EC2::SubnetRouteTableAssociation":      "TestTheNetworkIsClosed",
	"AWS::EC2::VPC":                              "TestTheNetworkIsClosed",
	"AWS::EC2::VPCEndpoint":                      "TestTheVPCNeedsNoOtherWayOut",
	"AWS::EC2::VPCGatewayAttachment":             "TestTheNetworkIsClosed",
	"AWS::ECR::Repository":                       "TestPoliciesAreWhatIsListed",
	"AWS::ECS::Cluster":                          "has a name only",
	"AWS::ECS::Service":                          "TestOnlyWhatUsesADatabaseIsInTheVPC",
	"AWS::ECS::TaskDefinition":                   "TestLoginsAreThoseOfTheDSNs",
	"AWS::ElasticLoadBalancingV2::Listener":      "TestListenerRulesSendRoutesToTheirDeployable",
	"AWS::ElasticLoadBalancingV2::ListenerRule":  "TestListenerRulesSendRoutesToTheirDeployable",
	"AWS::ElasticLoadBalancingV2::LoadBalancer":  "TestTheNetworkIsClosed",
	"AWS::ElasticLoadBalancingV2::TargetGroup":   "TestInvokersAreNamed",
	"AWS::Events::Archive":                       "TestTheBusIsArchived",
	"AWS::Events::EventBus":                      "TestTheBusIsArchived",
	"AWS::Events::Rule":                          "TestEveryRuleIsKnown",
	"AWS::IAM::Role":                             "TestRolesMayDoWhatIsListed",
	"AWS::Lambda::EventInvokeConfig":             "TestSchedules",
	"AWS::Lambda::EventSourceMapping":            "TestStreamsHaveConsumersThatGiveUp",
	"AWS::Lambda::Function":                      "TestOnlyWhatUsesADatabaseIsInTheVPC",
	"AWS::Lambda::Permission":                    "TestInvokersAreNamed",
	"AWS::Logs::LogGroup":                        "TestPoliciesAreWhatIsListed",
	"AWS::RDS::DBInstance":                       "TestDatabasesAreClosed",
	"AWS::RDS::DBParameterGroup":                 "TestDatabasesAreClosed",
	"AWS::RDS::DBSubnetGroup":                    "TestDatabasesAreClosed",
	"AWS::S3::Bucket":                            "TestBucketOfFailures",
	"AWS::S3::BucketPolicy":                      "TestPoliciesAreWhatIsListed",
	"AWS::SES::ConfigurationSet":                 "TestMailIsOffUntilItIsWhole",
	"AWS::SES::ConfigurationSetEventDestination": "TestFeedbackRule",
	"AWS::SES::EmailIdentity":                    "TestMailIsOffUntilItIsWhole",
	"AWS::SQS::Queue":                            "TestQueues",
	"AWS::SQS::QueuePolicy":                      "TestPoliciesAreWhatIsListed",
	"AWS::SecretsManager::Secret":                "TestPoliciesAreWhatIsListed",
}

// Each resource of the stack is of a type that a test knows.
func TestEveryTypeIsKnownToATest(t *testing.T) {
	got := map[string]bool{}
	for _, name := range []string{"local", "dev", "prod"} {
		for _, r := range changed(t, name, map[string]string{"CertificateArn": "arn:aws:acm:ap-northeast-2:000000000000:certificate/0a", "MailIdentity": "example.org"}).Resources {
			got[r.Type] = true
		}
	}
	if known := slices.Sorted(maps.Keys(types)); !slices.Equal(slices.Sorted(maps.Keys(got)), known) {
		t.Errorf("the stack has the types\n%q, and the list\n%q", slices.Sorted(maps.Keys(got)), known)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		code.Write(text)
	}
	for kind, test := range types {
		if strings.HasPrefix(test, "Test") && !regexp.MustCompile(`(?m)^func `+test+`\(`).MatchString(code.String()) {
			t.Errorf("%s: there is no %s", kind, test)
		}
	}
}
