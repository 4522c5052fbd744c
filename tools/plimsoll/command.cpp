// See command.hpp.
#include "command.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "help.hpp"

namespace plimsoll::cli {
namespace {

// What a pipeline file may say beside the plan's own options.
constexpr std::array<OptionInfo, 10> kGeneral{{{.name = "model"},
                                               {.name = "draft"},
                                               {.name = "plugin_path", .repeats = true},
                                               {.name = "prefer", .repeats = true},
                                               {.name = "trust"},
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

std::optional<bool> truth(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
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
  app_.add_option("--format", format_, "of the result; default table")->type_name("table|json|yaml")->group("Output");
  app_.add_option("-o,--output", output_.file, "write the result to a file, complete or not at all")->type_name("FILE")->group("Output");
  app_.add_option("--color", colour_, "colours; default auto; NO_COLOR is respected")->type_name("auto|always|never")->group("Output");
  app_.add_flag("--quiet", output_.quiet, "only the result, and its verdict alone in a table")->group("Output");
  app_.add_flag("--verbose", output_.verbose, "say what is done, on standard error")->group("Output");
}

void CommandLine::allow(bool& allowed, std::string_view format) {
  CLI::Option* const option = app_.get_option("--format");
  option->type_name(fmt::format("{}|{}", option->get_type_name(), format));
  allowed = true;
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
}

void CommandLine::add_plan_options() {
  app_.add_option("MODEL", model_, "a directory, config.json, .gguf file, or org/name")->type_name("");
  add_request_options();
  app_.add_option("--draft", draft_, "a draft model for speculative decoding, on the same devices")->type_name("MODEL");
}

void CommandLine::add_request_options() {
  app_.add_option("--pipeline", pipeline_, "YAML file of these options; the command line wins over it")->type_name("FILE");
  for (const OptionInfo& info : plimsoll::plan_options()) {
    PlanOption& option = plan_options_.emplace_back(PlanOption{info, {}});
    if (info.kind == OptionKind::kSwitch) {
      app_.add_flag_callback(
          flag_of(info.name), [&option] { option.values.emplace_back("true"); }, std::string(info.help));
      continue;
    }
    auto* added = app_.add_option(flag_of(info.name), option.values, std::string(info.help))->type_name(std::string(info.argument));
    added->allow_extra_args(false)->expected(1);
    if (info.repeats) added->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
}

std::optional<int> CommandLine::parse(const Arguments& arguments) {
  output_.format = wanted_format(arguments);
  Arguments reversed(arguments.rbegin(), arguments.rend());
  try {
    app_.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    if (output_.format == Format::kTable) return output_.write(app_.help() + "\n", kExitFits);
    return output_.write_document(command_help_json(app_), kExitFits);
  } catch (const CLI::ParseError& problem) {
    return fail({ErrorCode::kBadRequest, fmt::format("{}; see {} --help", problem.what(), app_.get_name()), "command line"});
  }
  for (const PlanOption& option : plan_options_)
    if (!option.info.repeats && option.values.size() > 1)
      return fail({ErrorCode::kBadRequest, "given more than once; keep one", flag_of(option.info.name)});
  if (auto read = read_pipeline(); !read) return fail(read.error());
  if (auto set = set_output(); !set) return fail(set.error());
  return std::nullopt;
}

Result<void> CommandLine::read_pipeline() {
  if (pipeline_.empty()) return {};
  PLIMSOLL_ASSIGN(const std::vector<OptionValue> options, read_pipeline_file(pipeline_, kGeneral));
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
  const auto given = [&](const char* flag) { return app_.get_option(flag)->count() > 0; };
  if (option.name == "model") {
    if (!given("MODEL")) model_ = option.value;
  } else if (option.name == "draft") {
    if (!given("--draft")) draft_ = option.value;
  } else if (option.name == "plugin_path") {
    plugin_paths_.push_back(option.value);
  } else if (option.name == "prefer") {
    prefer_.push_back(option.value);
  } else if (option.name == "trust") {
    if (!given("--trust")) trust_ = option.value;
  } else if (option.name == "format") {
    if (!given("--format")) format_ = option.value;
  } else if (option.name == "output") {
    if (!given("--output")) output_.file = option.value;
  } else if (option.name == "color") {
    if (!given("--color")) colour_ = option.value;
  } else {
    const auto value = truth(option.value);
    if (!value) return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("{} is true or false", option.name), option.where);
    if (option.name == "quiet") output_.quiet = output_.quiet || *value;
    else output_.verbose = output_.verbose || *value;
  }
  return {};
}

Result<void> CommandLine::set_output() {
  if (format_ == "json" || (jsonl_allowed_ && jsonl())) output_.format = Format::kJson;
  else if (format_ == "yaml") output_.format = Format::kYaml;
  else if (format_ == "table" || (markdown_allowed_ && markdown())) output_.format = Format::kTable;
  else return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("'{}' is no format; give table, json or yaml", format_), "--format");
  if (colour_ == "auto") output_.colour = ColourChoice::kAuto;
  else if (colour_ == "always") output_.colour = ColourChoice::kAlways;
  else if (colour_ == "never") output_.colour = ColourChoice::kNever;
  else return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("'{}' is no choice; give auto, always or never", colour_), "--color");
  if (trust_ != "checked" && trust_ != "open")
    return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("'{}' is no choice; give checked or open", trust_), "--trust");
  return {};
}

Result<Context> CommandLine::context(bool list_refused) const {
  ContextOptions options;
  options.plugin_paths = plugin_paths_;
  options.prefer = prefer_;
  options.list_refused = list_refused;
  options.trust = trust_ == "open" ? Trust::kOpen : Trust::kChecked;
  options.log = [output = output_](LogLevel level, std::string_view text) { output.message(level, text); };
  return Context::create(std::move(options));
}

Result<Task> CommandLine::task() const {
  if (model_.empty())
    return plimsoll::fail(ErrorCode::kBadRequest, "no model; give a directory, config.json, .gguf file or org/name", "MODEL");
  PLIMSOLL_ASSIGN(Context made, context());
  PLIMSOLL_ASSIGN(PlanRequest asked, request(made));
  PLIMSOLL_ASSIGN(Model loaded, made.load(model_));
  return Task{std::move(made), std::move(asked), std::move(loaded)};
}

std::vector<OptionValue> CommandLine::given_options() const {
  std::vector<OptionValue> out = from_pipeline_;
  for (const PlanOption& option : plan_options_)
    for (const std::string& value : option.values) out.push_back({std::string(option.info.name), value, flag_of(option.info.name)});
  return out;
}

Result<PlanRequest> CommandLine::request(const Context& context) const {
  PlanRequest request;
  for (const OptionValue& option : given_options()) PLIMSOLL_TRY(set_option(request, option));
  if (!draft_.empty()) {
    PLIMSOLL_ASSIGN(request.draft, context.load(draft_));
  }
  return request;
}

} // namespace plimsoll::cli
