// See command.hpp.
#include "command.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <unistd.h>
#include <utility>

#include "help.hpp"
#include "option_groups.hpp"
#include "plimsoll/human.hpp"

namespace plimsoll::cli {
namespace {

// What a pipeline file may say beside the plan's own options.
constexpr std::array<OptionInfo, 13> kGeneral{{{.name = "model"},
                                               {.name = "draft"},
                                               {.name = "plugin_path", .repeats = true},
                                               {.name = "prefer", .repeats = true},
                                               {.name = "trust"},
                                               {.name = "plugin_timeout"},
                                               {.name = "online", .kind = OptionKind::kSwitch},
                                               {.name = "fetch_timeout"},
                                               {.name = "format"},
                                               {.name = "output"},
                                               {.name = "color"},
                                               {.name = "quiet", .kind = OptionKind::kSwitch},
                                               {.name = "verbose", .kind = OptionKind::kSwitch}}};

std::string flag_of(std::string_view name) {
  std::string out = "--" + std::string(name);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

// "fetching 12 of 166 files, 3.4 MiB" on a terminal, a line that goes away.
FetchCallback fetch_bar(bool quiet) {
  if (quiet || isatty(STDERR_FILENO) == 0) return {};
  return [shown = std::string()](const FetchProgress& progress) mutable {
    constexpr std::uint64_t kWidth = 24;
    const std::uint64_t full = progress.files == 0 ? 0 : kWidth * progress.files_done / progress.files;
    std::string bar;
    for (std::uint64_t i = 0; i < kWidth; ++i) bar += i < full ? "█" : "░";
    const std::string text = progress.finished ? "\r\x1b[K"
                                               : fmt::format("\r\x1b[Kfetching headers [{}] {} of {} files, {}", bar, progress.files_done,
                                                             progress.files, human_bytes(progress.received_bytes));
    if (text == shown) return;
    shown = text;
    write_all(STDERR_FILENO, text);
  };
}

std::optional<bool> truth(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

// One blank line between sections, where the library leaves two.
std::string without_double_blanks(std::string text) {
  for (std::size_t at = text.find("\n\n\n"); at != std::string::npos; at = text.find("\n\n\n", at)) text.erase(at, 1);
  return text;
}

} // namespace

Format wanted_format(const Arguments& arguments) {
  Format format = Format::kTable;
  for (std::size_t at = 0; at < arguments.size(); ++at) {
    std::string_view value;
    if (arguments[at] == "--format" && at + 1 < arguments.size()) value = arguments[at + 1];
    else if (arguments[at].starts_with("--format=")) value = std::string_view(arguments[at]).substr(9);
    if (value == "json" || value == "jsonl") format = Format::kJson;
    if (value == "yaml") format = Format::kYaml;
  }
  return format;
}

CommandLine::CommandLine(std::string_view name, std::string_view description, std::string_view schema, std::string_view examples)
    : schema_(schema), app_(std::string(description), fmt::format("plimsoll {}", name)) {
  app_.footer(std::string(examples));
  app_.get_formatter()->column_width(34);
}

void CommandLine::add_output_options() {
  app_.add_option("--format", format_, "of the result; default table")->type_name(formats_)->group("Output");
  app_.add_option("-o,--output", output_.file, "write the result to a file, complete or not at all")->type_name("FILE")->group("Output");
  app_.add_option("--color", colour_, "colours; default auto; NO_COLOR is respected")->type_name("auto|always|never")->group("Output");
  app_.add_flag("--quiet", output_.quiet, "only the result, and its verdict alone in a table")->group("Output");
  app_.add_flag("--verbose", output_.verbose, "say what is done, on standard error")->group("Output");
}

void CommandLine::allow(bool& allowed, std::string_view format) {
  formats_ += fmt::format("|{}", format);
  allowed = true;
}

void CommandLine::show_only(std::span<const std::string_view> options) {
  for (const PlanOption& option : plan_options_)
    if (std::find(options.begin(), options.end(), option.info.name) == options.end()) app_.get_option(flag_of(option.info.name))->group("");
}

void CommandLine::add_context_options() {
  app_.add_option("--plugin-path", plugin_paths_, "search this folder for plugins first; may repeat")
      ->type_name("DIR")
      ->allow_extra_args(false)
      ->group("Plugins");
  app_.add_option("--prefer", prefer_, "let this plugin replace what is built in, as its manifest says; may repeat")
      ->type_name("ID")
      ->allow_extra_args(false)
      ->group("Plugins");
  app_.add_option("--trust", trust_, "checked, the default: load only plugins that nobody else can write; open: any")
      ->type_name("checked|open")
      ->group("Plugins");
  app_.add_option("--plugin-timeout", plugin_timeout_,
                  "seconds that a plugin from outside the installation may take for an answer; default 10")
      ->type_name("S")
      ->group("Plugins");
  app_.add_flag("--online", online_, "fetch the config and the headers of a MODEL that is a URL; without it nothing is fetched")
      ->group("Network");
  app_.add_option("--fetch-timeout", fetch_timeout_, "seconds that fetching one model may take; default 300")
      ->type_name("S")
      ->group("Network");
}

void CommandLine::expect(const Arguments& arguments) {
  std::set<std::string, std::less<>>& flags = expected_.emplace();
  for (const std::string& argument : arguments) {
    if (argument == "-h" || argument == "--help") return expected_.reset();
    flags.insert(argument.substr(0, argument.find('=')));
  }
}

void CommandLine::add_plan_options(const RequestOptions& differing) {
  app_.add_option("MODEL", model_, "a directory, config.json, .gguf file, org/name, or with --online a URL: hf://ORG/NAME, https://...")
      ->type_name("");
  add_request_options(differing);
  app_.add_option("--draft", draft_,
                  "a draft for speculative decoding on the same devices: a small model, or EAGLE, Medusa, DFlash and the like")
      ->type_name("MODEL")
      ->group(std::string(group_of("draft")));
}

void CommandLine::add_models() {
  app_.add_option("--model", model_, "a directory, config.json, .gguf file, org/name, or with --online a URL")->type_name("MODEL");
  app_.add_option("--draft", draft_, "a draft for speculative decoding on the same devices")->type_name("MODEL");
}

void CommandLine::add_request_options(const RequestOptions& differing) {
  app_.add_option("--pipeline", pipeline_, "YAML file of these options; the command line wins over it")->type_name("FILE");
  for (const OptionInfo& info : plimsoll::plan_options()) {
    if (std::find(differing.left_out.begin(), differing.left_out.end(), info.name) != differing.left_out.end()) continue;
    std::string names = flag_of(info.name);
    bool expected = !expected_ || expected_->contains(names);
    for (const OtherName& other : differing.other_names) {
      if (other.option != info.name) continue;
      const std::string also = flag_of(other.also);
      expected = expected || expected_->contains(also);
      names += "," + also;
    }
    PlanOption& option = plan_options_.emplace_back(PlanOption{info, {}});
    if (!expected) continue;
    if (info.kind == OptionKind::kSwitch) {
      app_.add_flag_callback(
              names, [&option] { option.values.emplace_back("true"); }, std::string(info.help))
          ->group(std::string(group_of(info.name)));
      continue;
    }
    auto* added = app_.add_option(names, option.values, std::string(info.help))->type_name(std::string(info.argument));
    added->allow_extra_args(false)->expected(1)->group(std::string(group_of(info.name)));
    if (info.repeats) added->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
}

std::optional<int> CommandLine::parse(const Arguments& arguments) {
  add_output_options();
  const auto behind = engine_command_allowed_ ? std::find(arguments.begin(), arguments.end(), "--") : arguments.end();
  if (behind != arguments.end()) engine_words_.emplace(behind + 1, arguments.end());
  const Arguments own(arguments.begin(), behind);
  Arguments reversed(own.rbegin(), own.rend());
  output_.format = wanted_format(own);
  try {
    app_.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    if (output_.format == Format::kTable) return output_.write(without_double_blanks(app_.help()) + "\n", kExitFits);
    return output_.write_document(command_help_json(app_), kExitFits);
  } catch (const CLI::ParseError& problem) {
    return fail(unknown_option(own, problem));
  }
  for (const PlanOption& option : plan_options_)
    if (!option.info.repeats && option.values.size() > 1)
      return fail({ErrorCode::kBadRequest, "given more than once; keep one", flag_of(option.info.name)});
  if (auto read = read_pipeline(); !read) return fail(read.error());
  if (auto read = read_engine_words(); !read) return fail(read.error());
  if (auto set = set_output(); !set) return fail(set.error());
  return std::nullopt;
}

// What is wrong in words and in their order, an option that is none first.
Error CommandLine::unknown_option(const Arguments& arguments, const CLI::ParseError& problem) const {
  std::vector<std::string> known;
  for (const CLI::Option* option : app_.get_options())
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  if (expected_)
    for (const PlanOption& option : plan_options_) known.push_back(flag_of(option.info.name));
  for (std::size_t at = 0; at < arguments.size(); ++at) {
    const std::string name = arguments[at].substr(0, arguments[at].find('='));
    if (name.size() < 2 || name[0] != '-' || (name[1] >= '0' && name[1] <= '9')) continue;
    if (const CLI::Option* option = app_.get_option_no_throw(name)) { // what it takes is no option
      if (name == arguments[at] && option->get_items_expected_max() > 0) ++at;
      continue;
    }
    const std::string about = about_unknown_option(name, known, {"", given_engine()});
    return {ErrorCode::kBadRequest,
            fmt::format("unknown option {}{}{}; see {} --help", name, about.empty() ? "" : ": ", about, app_.get_name()), name};
  }
  std::string message = problem.what();
  if (dynamic_cast<const CLI::ExtrasError*>(&problem) != nullptr) {
    Arguments extra = app_.remaining();
    message = fmt::format("not expected: {}; a value with blanks is put in quotes", fmt::join(extra, " "));
  }
  return {ErrorCode::kBadRequest, fmt::format("{}; see {} --help", message, app_.get_name()), "command line"};
}

std::string CommandLine::given_engine() const {
  for (const PlanOption& option : plan_options_)
    if (option.info.name == "engine" && !option.values.empty()) return option.values.front();
  return {};
}

// Of a file: whatever is given elsewhere wins.
void CommandLine::take(EngineCommand command) {
  if (model_.empty()) model_ = std::move(command.model);
  if (draft_.empty()) draft_ = std::move(command.draft);
  if (given_engine().empty()) assumed_.push_back({"engine", command.engine, "--engine"});
  assumed_.insert(assumed_.end(), command.assumed.begin(), command.assumed.end());
  carried_ = std::move(command.carried);
  flag_warnings_ = std::move(command.warnings);
}

Result<void> CommandLine::read_engine_words() {
  if (!engine_words_) return {};
  PLIMSOLL_ASSIGN(EngineCommand command, read_engine_command(*engine_words_, {"", given_engine()}));
  if (!model_.empty() && !command.model.empty() && model_ != command.model)
    return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("the command behind -- serves {}, not {}; keep one", command.model, model_),
                          "MODEL");
  if (!draft_.empty() && !command.draft.empty() && draft_ != command.draft)
    return plimsoll::fail(ErrorCode::kBadRequest,
                          fmt::format("the command behind -- drafts with {}, not {}; keep one", command.draft, draft_), "--draft");
  of_engine_ = command.options;
  for (const PlanOption& option : plan_options_)
    for (const std::string& value : option.values)
      PLIMSOLL_TRY(take_no_second({std::string(option.info.name), value, flag_of(option.info.name)}));
  if (const std::string engine = given_engine(); !engine.empty() && command.engine != engine) {
    // An image's tag names the release where --engine does not.
    for (PlanOption& option : plan_options_)
      if (option.info.name == "engine") option.values = {command.engine};
  }
  take(std::move(command));
  return {};
}

// What both --max-length and --max-model-len say is said twice.
Result<void> CommandLine::take_no_second(const OptionValue& option) const {
  const auto subjects = [](const OptionValue& said) {
    PlanRequest request;
    std::vector<std::string> out;
    if (!set_option(request, said)) return out;
    for (const OptionValue& shown : show_options(request))
      out.push_back(shown.name == "set" ? shown.value.substr(0, shown.value.find('=')) : shown.name);
    return out;
  };
  const std::vector<std::string> ours = subjects(option);
  for (const OptionValue& theirs : of_engine_)
    for (const std::string& subject : subjects(theirs))
      if (std::find(ours.begin(), ours.end(), subject) != ours.end())
        return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("{} {} behind -- says this too; keep one", theirs.where, theirs.value),
                              option.where);
  return {};
}

Result<void> CommandLine::read_pipeline() {
  if (pipeline_.empty()) return {};
  const auto read = read_pipeline_file(pipeline_, kGeneral);
  if (!read) { // some engine's own settings?
    auto engine = read_engine_file(pipeline_, {"", given_engine()});
    if (!engine) return tl::unexpected(engine.error());
    if (!*engine) return tl::unexpected(read.error());
    from_pipeline_ = (*engine)->options;
    take(std::move(**engine));
    return {};
  }
  const std::vector<OptionValue>& options = *read;
  for (const OptionValue& option : options)
    if (std::any_of(kGeneral.begin(), kGeneral.end(), [&](const OptionInfo& info) { return info.name == option.name; })) {
      PLIMSOLL_TRY(apply_general(option));
    } else {
      from_pipeline_.push_back(option);
    }
  return {};
}

// An option that is not the plan's; the command line wins.
Result<void> CommandLine::apply_general(const OptionValue& option) {
  const auto given = [&](const char* flag) { // a command may have no such option
    const CLI::Option* const known = app_.get_option_no_throw(flag);
    return known != nullptr && known->count() > 0;
  };
  if (option.name == "model") {
    if (!given("MODEL") && !given("--model")) model_ = option.value;
  } else if (option.name == "draft") {
    if (!given("--draft")) draft_ = option.value;
  } else if (option.name == "plugin_path") {
    plugin_paths_.push_back(option.value);
  } else if (option.name == "prefer") {
    prefer_.push_back(option.value);
  } else if (option.name == "trust") {
    if (!given("--trust")) trust_ = option.value;
  } else if (option.name == "plugin_timeout") {
    if (!given("--plugin-timeout")) plugin_timeout_ = option.value;
  } else if (option.name == "fetch_timeout") {
    if (!given("--fetch-timeout")) fetch_timeout_ = option.value;
  } else if (option.name == "format") {
    if (!given("--format")) format_ = option.value;
  } else if (option.name == "output") {
    if (!given("--output")) output_.file = option.value;
  } else if (option.name == "color") {
    if (!given("--color")) colour_ = option.value;
  } else {
    const auto value = truth(option.value);
    if (!value) return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("{} is true or false", option.name), option.where);
    if (option.name == "online") online_ = online_ || *value;
    else if (option.name == "quiet") output_.quiet = output_.quiet || *value;
    else output_.verbose = output_.verbose || *value;
  }
  return {};
}

Result<void> CommandLine::set_output() {
  if (format_ == "json" || (jsonl_allowed_ && jsonl())) output_.format = Format::kJson;
  else if (format_ == "yaml") output_.format = Format::kYaml;
  else if (format_ == "table" || (markdown_allowed_ && markdown()) || (html_allowed_ && html())) output_.format = Format::kTable;
  else return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("'{}' is no format; give table, json or yaml", format_), "--format");
  if (colour_ == "auto") output_.colour = ColourChoice::kAuto;
  else if (colour_ == "always") output_.colour = ColourChoice::kAlways;
  else if (colour_ == "never") output_.colour = ColourChoice::kNever;
  else return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("'{}' is no choice; give auto, always or never", colour_), "--color");
  if (trust_ != "checked" && trust_ != "open")
    return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("'{}' is no choice; give checked or open", trust_), "--trust");
  for (const auto& [flag, text] : {std::pair{"--plugin-timeout", &plugin_timeout_}, std::pair{"--fetch-timeout", &fetch_timeout_}})
    if (!time_of(*text, kPluginTimeout))
      return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("'{}' is no time; give seconds from 0.001 to 86400", *text), flag);
  return {};
}

std::optional<std::chrono::milliseconds> CommandLine::time_of(const std::string& text, std::chrono::milliseconds otherwise) {
  double seconds = 0;
  if (text.empty()) return otherwise;
  const char* const end = text.data() + text.size();
  const auto [rest, wrong] = std::from_chars(text.data(), end, seconds);
  if (wrong != std::errc() || rest != end) return std::nullopt;
  return plugin_timeout_of(seconds);
}

Result<Context> CommandLine::context(bool list_refused) const {
  ContextOptions options;
  options.plugin_paths = plugin_paths_;
  options.prefer = prefer_;
  options.list_refused = list_refused;
  options.trust = trust_ == "open" ? Trust::kOpen : Trust::kChecked;
  options.plugin_timeout = time_of(plugin_timeout_, kPluginTimeout).value_or(kPluginTimeout);
  options.online = online_;
  options.fetch_timeout = time_of(fetch_timeout_, kFetchTimeout).value_or(kFetchTimeout);
  if (online_) options.fetch_progress = fetch_bar(output_.quiet);
  options.log = [output = output_](LogLevel level, std::string_view text) { output.message(level, text); };
  return Context::create(std::move(options));
}

Result<Task> CommandLine::task() const {
  if (model_.empty())
    return plimsoll::fail(ErrorCode::kBadRequest, "no model; give a directory, config.json, .gguf file or org/name", "MODEL");
  PLIMSOLL_ASSIGN(Context made, context());
  PLIMSOLL_ASSIGN(PlanRequest asked, request(made));
  PLIMSOLL_ASSIGN(Model loaded, made.load(model_));
  return Task{std::move(made), std::move(asked), std::move(loaded), carried_, flag_warnings_};
}

std::vector<OptionValue> CommandLine::given_options() const {
  std::vector<OptionValue> out = from_pipeline_;
  for (OptionValue& value : line_options()) out.push_back(std::move(value));
  return out;
}

std::vector<OptionValue> CommandLine::line_options() const {
  std::vector<OptionValue> out;
  for (const PlanOption& option : plan_options_)
    for (const std::string& value : option.values) out.push_back({std::string(option.info.name), value, flag_of(option.info.name)});
  return out;
}

Result<PlanRequest> CommandLine::request(const Context& context) const {
  PlanRequest request;
  for (const OptionValue& option : assumed_) PLIMSOLL_TRY(set_option(request, option));
  for (const OptionValue& option : of_engine_) PLIMSOLL_TRY(set_option(request, option));
  for (const OptionValue& option : given_options()) PLIMSOLL_TRY(set_option(request, option));
  if (!draft_.empty()) {
    PLIMSOLL_ASSIGN(request.draft, context.load(draft_));
  }
  return request;
}

} // namespace plimsoll::cli
