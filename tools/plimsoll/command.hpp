// The commands, one file each, and the command line they share: common options, plan options, pipeline files.
// main.cpp calls run_*; each returns the exit code. Never throws on user input. Threads: one.
#pragma once

#include <CLI/CLI.hpp>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "output.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/options.hpp"

namespace plimsoll::cli {

using Arguments = std::vector<std::string>; // what follows the command's name

int run_plan(const Arguments& arguments);
int run_explain(const Arguments& arguments);
int run_weights(const Arguments& arguments);
int run_estimate(const Arguments& arguments);
int run_plugins(const Arguments& arguments);
int run_verify(const Arguments& arguments);
int run_devices(const Arguments& arguments);
int run_models(const Arguments& arguments);
int run_compare(const Arguments& arguments);
int run_run(const Arguments& arguments);
int run_new_plugin(const Arguments& arguments);

// The format that the arguments ask for, read before they are parsed: errors of parsing are reported in it too.
Format wanted_format(const Arguments& arguments);

// What every command about a model works on.
struct Task {
  Context context;
  PlanRequest request;
  Model model;
};

class CommandLine {
public:
  // `schema`: of the document that this command prints, errors included.
  CommandLine(std::string_view name, std::string_view description, std::string_view schema, std::string_view examples);

  CLI::App& app() { return app_; }
  void add_context_options(); // --plugin-path, --prefer, --trust
  void allow_jsonl() { allow(jsonl_allowed_, "jsonl"); }
  void allow_markdown() { allow(markdown_allowed_, "markdown"); }
  void add_plan_options();    // MODEL, --draft and the request's options
  void add_request_options(); // --pipeline and every option of a plan's request

  // Reads the arguments. An exit code where the command ends here: help was asked for, or something is wrong.
  std::optional<int> parse(const Arguments& arguments);

  bool jsonl() const { return format_ == "jsonl"; }
  bool markdown() const { return format_ == "markdown"; }
  // The request's options as they were given: those of the pipeline file first.
  std::vector<OptionValue> given_options() const;
  const Output& output() const { return output_; }
  int fail(const Error& error) const { return output_.fail(error, schema_); }
  // `list_refused`: refused plugins of --plugin-path are no error.
  Result<Context> context(bool list_refused = false) const;
  // The context, the request of the pipeline file and the command line, and the model, loaded; the draft model too where there
  // is one.
  Result<Task> task() const;

private:
  void allow(bool& allowed, std::string_view format);
  Result<PlanRequest> request(const Context& context) const;
  struct PlanOption {
    OptionInfo info;
    std::vector<std::string> values;
  };
  Result<void> read_pipeline();
  Result<void> apply_general(const OptionValue& option);
  Result<void> set_output();

  std::string schema_;
  CLI::App app_;
  bool jsonl_allowed_ = false, markdown_allowed_ = false;
  Output output_;
  std::string format_ = "table", colour_ = "auto", trust_ = "checked";
  std::vector<std::string> plugin_paths_, prefer_;
  std::string model_, draft_, pipeline_;
  std::deque<PlanOption> plan_options_; // addresses are kept by the parser
  std::vector<OptionValue> from_pipeline_;
};

} // namespace plimsoll::cli
