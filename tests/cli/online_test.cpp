// Models of URLs as users give them, from a server of this machine; and that nothing is asked of anybody without --online.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "support/http_server.hpp"

namespace plimsoll::cli_test {
namespace {

using test::HttpAnswer;
using test::HttpRequest;
using test::HttpServer;
using test::ServedFiles;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::ordered_json;

const std::string kTiny = std::string(PLIMSOLL_TEST_DATA) + "/tiny/kjv";

class CliOnline : public ::testing::Test {
protected:
  CliOnline() { files_.add_directory("/tiny/kjv/resolve/main", kTiny, 1U << 20); }
  HttpAnswer answer(const HttpRequest& request) const {
    if (request.target.starts_with("/api/models/tiny/kjv/tree/main")) return {.body = files_.listing("/tiny/kjv/resolve/main")};
    if (request.target.starts_with("/api/models/tiny/gated")) return {.status = 401, .headers = {{"X-Error-Code", "GatedRepo"}}};
    return files_.answer(request);
  }
  Outcome run_with_hub(std::vector<std::string> arguments) const {
    Invocation one;
    one.arguments = std::move(arguments);
    one.environment = {"HF_ENDPOINT=" + server_.url(), "XDG_CACHE_HOME=" + scratch_folder() + "/cache", "HF_TOKEN=hf_secret"};
    const Outcome outcome = run(one);
    EXPECT_THAT(outcome.out + outcome.err, Not(HasSubstr("hf_secret")));
    return outcome;
  }

  ServedFiles files_;
  HttpServer server_{[this](const auto& request) { return answer(request); }};
};

TEST_F(CliOnline, TheSamePlanAsOfTheFiles) {
  const Outcome here = run({"plan", kTiny, "--devices", "64MiB", "--format", "json"});
  ASSERT_EQ(here.code, 0) << here.out;
  Json expected = Json::parse(here.out);
  for (const std::string& model :
       {std::string("hf://tiny/kjv"), server_.url() + "/tiny/kjv", server_.url("127.0.0.1") + "/tiny/kjv/resolve/main",
        std::string("tiny/kjv"), std::string("hf.co/tiny/kjv")}) {
    const Outcome outcome = run_with_hub({"plan", model, "--devices", "64MiB", "--format", "json", "--online"});
    ASSERT_EQ(outcome.code, 0) << model << "\n" << outcome.out;
    EXPECT_EQ(outcome.err, "");
    Json found = Json::parse(outcome.out);
    EXPECT_EQ(found["model"]["path"], model);
    EXPECT_EQ(found["model"]["weights_source"], "safetensors");
    expected["model"]["path"] = model;
    EXPECT_EQ(found, expected);
  }
}

TEST_F(CliOnline, NothingIsAskedOfAnybodyWithoutTheOption) {
  for (const std::string& model : {std::string("hf://tiny/kjv"), server_.url() + "/tiny/kjv", std::string("tiny/kjv")}) {
    const Outcome outcome = run_with_hub({"plan", model, "--devices", "64MiB"});
    EXPECT_EQ(outcome.code, 2) << outcome.out;
    EXPECT_THAT(outcome.err, StartsWith("plimsoll: error: "));
    EXPECT_THAT(outcome.err, HasSubstr("--online"));
  }
  EXPECT_TRUE(server_.seen().empty());
}

TEST_F(CliOnline, WhatIsHereUnderTheNameIsPlannedWithoutTheOption) {
  const Outcome outcome =
      run_with_hub({"plan", "https://huggingface.co/meta-llama/Llama-3.1-8B", "--devices", "80GiB", "--format", "json"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(Json::parse(outcome.out)["model"]["path"], "meta-llama/Llama-3.1-8B");
  EXPECT_TRUE(server_.seen().empty());
}

TEST_F(CliOnline, ErrorsAreDocumentsAndNameUrls) {
  files_.add("/broken/model.gguf", std::string("GGUF\3\0\0\0", 8) + std::string(100, '\xff'));
  struct Row {
    std::string model, says;
  };
  for (const Row& row :
       {Row{"hf://tiny/gated", "accept its licence at " + server_.url() + "/tiny/gated"}, Row{"hf://tiny/none", "knows no repository"},
        Row{server_.url("localhost") + "/broken/model.gguf", "announces"}, Row{server_.url("localhost") + "/none/x.gguf", "no such"},
        Row{"https://a:b@c/x.gguf", "a password"}, Row{"s3://a/b", "nothing is fetched by"}}) {
    const Outcome outcome = run_with_hub({"plan", row.model, "--devices", "64MiB", "--online", "--format", "json"});
    EXPECT_EQ(outcome.code, 2) << outcome.out;
    const Json document = Json::parse(outcome.out);
    EXPECT_EQ(document["verdict"], "error");
    EXPECT_THAT(document.dump(), HasSubstr(row.says)) << row.model;
    EXPECT_THAT(document.dump(), Not(HasSubstr(scratch_folder())));
  }
}

TEST_F(CliOnline, AdviceIsACommandThatFetchesToo) {
  const Outcome outcome =
      run_with_hub({"plan", "hf://tiny/kjv", "--devices", "4MiB", "--max-length", "100000", "--online", "--format", "json"});
  ASSERT_EQ(outcome.code, 1) << outcome.out << outcome.err;
  const Json document = Json::parse(outcome.out);
  ASSERT_FALSE(document["advice"].empty()) << outcome.out;
  EXPECT_THAT(document["advice"].dump(), HasSubstr("plimsoll plan hf://tiny/kjv"));
  EXPECT_THAT(document["advice"].dump(), HasSubstr("--online"));
}

TEST_F(CliOnline, ProxiesAreAskedUnlessTheyAreNotToBe) {
  HttpServer proxy([this](const auto& request) -> HttpAnswer {
    HttpRequest inner = request;
    if (inner.target.starts_with("http://files.invalid")) inner.target = inner.target.substr(20);
    return answer(inner);
  });
  Invocation one;
  one.arguments = {"plan", "http://files.invalid/tiny/kjv/resolve/main", "--devices", "64MiB", "--online"};
  one.environment = {"http_proxy=" + proxy.url(), "XDG_CACHE_HOME=" + scratch_folder() + "/proxied"};
  EXPECT_EQ(run(one).code, 0);
  EXPECT_THAT(proxy.seen().front().target, StartsWith("http://files.invalid/"));
  const std::size_t asked = proxy.seen().size();
  one.arguments[1] = server_.url() + "/tiny/kjv/resolve/main";
  one.environment.push_back("no_proxy=127.0.0.1");
  EXPECT_EQ(run(one).code, 0);
  EXPECT_EQ(proxy.seen().size(), asked);
}

TEST_F(CliOnline, AnEndpointThatIsNoneIsNamed) {
  for (const char* endpoint : {"huggingface.co", "https://", "https://user:hf_secret@hub.example", "file:///tmp"}) {
    Invocation one;
    one.arguments = {"plan", "hf://tiny/kjv", "--devices", "64MiB", "--online"};
    one.environment = {std::string("HF_ENDPOINT=") + endpoint};
    const Outcome outcome = run(one);
    EXPECT_EQ(outcome.code, 2) << endpoint;
    EXPECT_THAT(outcome.err, HasSubstr("HF_ENDPOINT"));
    EXPECT_THAT(outcome.err, Not(HasSubstr("hf_secret")));
  }
}

TEST_F(CliOnline, PipelineFilesSayItToo) {
  const std::string file = write_scratch("online.yaml", "model: hf://tiny/kjv\ndevices: 64MiB\nonline: true\nfetch_timeout: 60\n");
  EXPECT_EQ(run_with_hub({"plan", "--pipeline", file}).code, 0);
  const std::string wrong = write_scratch("slow.yaml", "model: hf://tiny/kjv\ndevices: 64MiB\nonline: true\nfetch_timeout: soon\n");
  const Outcome outcome = run_with_hub({"plan", "--pipeline", wrong});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("'soon' is no time"));
}

TEST_F(CliOnline, HeadersAreNoWeightsToRun) {
  const Outcome outcome = run_with_hub({"run", "hf://tiny/kjv", "--prompt", "a", "--devices", "64MiB", "--online"});
  if (outcome.err.find("this installation only plans") != std::string::npos) GTEST_SKIP() << "built without the runtime";
  EXPECT_EQ(outcome.code, 2) << outcome.out;
  EXPECT_THAT(outcome.err, HasSubstr("download it whole"));
}

} // namespace
} // namespace plimsoll::cli_test
