// The commands, one file each, and the command line they share: common options, plan options, pipeline files.
// main.cpp calls run_*; each returns the exit code. Never throws on user input. Threads: one.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <deque>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "output.hpp"
#include "plimsoll/engine_command.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/options.hpp"

namespace plimsoll::cli {

using Arguments = std::vector<std::string>; // what follows the command's name

int run_plan(const Arguments& arguments);
int run_fit(const Arguments& arguments);
int run_explain(const Arguments& arguments);
int run_weights(const Arguments& arguments);
int run_estimate(const Arguments& arguments);
int run_plugins(const Arguments& arguments);
int run_verify(const Arguments& arguments);
int run_devices(const Arguments& arguments);
int run_models(const Arguments& arguments);
int run_compare(const Arguments& arguments);
int run_diff(const Arguments& arguments);
int run_run(const Arguments& arguments);
int run_watch(const Arguments& arguments);
int run_new_plugin(const Arguments& arguments);
int run_check(const Arguments& arguments);

// The format that the arguments ask for, read before they are parsed: errors of parsing are reported in it too.
Format wanted_format(const Arguments& arguments);

// What every command about a model works on.
struct Task {
  Context context;
  PlanRequest request;
  Model model;
  std::vector<std::vector<std::string>> carried; // of an engine's own command line: flags that are no part of the request
  std::vector<Warning> warnings;                 // of an engine's own command line or file: flags that are no part of the request
};

// How a command's options of a request differ from those of a plan.
struct OtherName {
  std::string_view option, also; // another name of it
};
struct RequestOptions {
  std::span<const std::string_view> left_out = {};
  std::span<const OtherName> other_names = {};
};

class CommandLine {
public:
  // `schema`: of the document that this command prints, errors included.
  CommandLine(std::string_view name, std::string_view description, std::string_view schema, std::string_view examples);

  CLI::App& app() { return app_; }
  const CLI::App& app() const { return app_; }
  void add_context_options(); // --plugin-path, --prefer, --trust, --plugin-timeout, --online, --fetch-timeout
  void allow_jsonl() { allow(jsonl_allowed_, "jsonl"); }
  void allow_markdown() { allow(markdown_allowed_, "markdown"); }
  void allow_html() { allow(html_allowed_, "html"); }
  void allow_engine_command() { engine_command_allowed_ = true; } // behind --
  // Of a request's options only those that stand there are made, unless help is asked for: holding each new name against all others is
  // most of what a start takes. Before add_...
  void expect(const Arguments& arguments);
  void add_plan_options(const RequestOptions& differing = {});    // MODEL, --draft and the request's options
  void add_request_options(const RequestOptions& differing = {}); // --pipeline and every option of a plan's request
  void add_models();                                              // --model and --draft, for a command whose arguments are no models
  // Of these the help shows only those; the others are taken as ever.
  void show_only(std::span<const std::string_view> options);

  // Reads the arguments. An exit code where the command ends here: help was asked for, or something is wrong.
  std::optional<int> parse(const Arguments& arguments);

  bool jsonl() const { return format_ == "jsonl"; }
  bool markdown() const { return format_ == "markdown"; }
  bool html() const { return format_ == "html"; }
  // The request's options as they were given: those of the pipeline file first, then those of the line, which win.
  std::vector<OptionValue> given_options() const;
  const std::vector<OptionValue>& pipeline_options() const { return from_pipeline_; }
  std::vector<OptionValue> line_options() const;
  const std::string& model() const { return model_; }
  const std::string& draft() const { return draft_; }
  const Output& output() const { return output_; }
  void write_no_file() { output_.file.clear(); } // where another process of the same command does
  int fail(const Error& error) const { return output_.fail(error, schema_); }
  // `list_refused`: refused plugins of --plugin-path are no error.
  Result<Context> context(bool list_refused = false) const;
  // The context, the request of the pipeline file and the command line, and the model, loaded; the draft model too where there
  // is one.
  Result<Task> task() const;

private:
  void allow(bool& allowed, std::string_view format);
  void add_output_options(); // last, so that they stand last in the help
  Result<PlanRequest> request(const Context& context) const;
  struct PlanOption {
    OptionInfo info;
    std::vector<std::string> values;
  };
  Result<void> read_pipeline();
  Result<void> read_engine_words();
  void take(EngineCommand command);
  Result<void> take_no_second(const OptionValue& option) const;
  std::string given_engine() const;
  Error unknown_option(const Arguments& arguments, const CLI::ParseError& problem) const;
  Result<void> apply_general(const OptionValue& option);
  Result<void> set_output();
  // A time of an option; nothing: what was given is none.
  static std::optional<std::chrono::milliseconds> time_of(const std::string& text, std::chrono::milliseconds otherwise);

  std::string schema_;
  CLI::App app_;
  bool jsonl_allowed_ = false, markdown_allowed_ = false, html_allowed_ = false;
  Output output_;
  std::string format_ = "table", colour_ = "auto", trust_ = "checked", plugin_timeout_, fetch_timeout_;
  bool online_ = false;
  std::string formats_ = "table|json|yaml"; // that the command has
  std::vector<std::string> plugin_paths_, prefer_;
  std::string model_, draft_, pipeline_;
  std::deque<PlanOption> plan_options_;                        // addresses are kept by the parser
  std::optional<std::set<std::string, std::less<>>> expected_; // flags; nothing: any
  std::vector<OptionValue> from_pipeline_;                     // of an engine's file too
  bool engine_command_allowed_ = false;
  std::optional<Arguments> engine_words_;        // behind --
  std::vector<OptionValue> assumed_, of_engine_; // by the engine; asked for behind --
  std::vector<std::vector<std::string>> carried_;
  std::vector<Warning> flag_warnings_;
};

} // namespace plimsoll::cli
