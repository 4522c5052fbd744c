// plimsoll diff A B: two plans, requests or engines: what changed, by cause.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>

#include "command.hpp"
#include "diff_report.hpp"
#include "input.hpp"
#include "plimsoll/diff.hpp"

namespace plimsoll::cli {
namespace {

// What a request's file may say beside the options of a plan; where a result goes is said once, on the command line.
constexpr std::array<OptionInfo, 7> kOfARequest{{{.name = "model"},
                                                 {.name = "draft"},
                                                 {.name = "format"},
                                                 {.name = "output"},
                                                 {.name = "color"},
                                                 {.name = "quiet", .kind = OptionKind::kSwitch},
                                                 {.name = "verbose", .kind = OptionKind::kSwitch}}};

// A plan to make, or a document that is there.
struct DiffInput {
  PlanDocument document; // its text is empty where a plan has to be made
  std::vector<OptionValue> options;
  bool is_engine = false;
};

// Whether a word means a file. Anything else is an engine, as --engine takes it.
bool names_a_file(const std::string& word) {
  std::error_code ignored;
  const auto ends = [&](std::string_view suffix) { return word.ends_with(suffix); };
  return word == "-" || word.find('/') != std::string::npos || ends(".json") || ends(".yaml") || ends(".yml") ||
         std::filesystem::is_regular_file(word, ignored); // a folder may be called vllm
}

DiffInput engine_side(const std::string& engine, std::string_view option) {
  return {{engine, ""}, {{"engine", engine, std::string(option)}}, true};
}

Result<DiffInput> read_side(const std::string& word, std::string_view option) {
  if (!names_a_file(word)) return engine_side(word, option);
  PLIMSOLL_ASSIGN(std::string text, read_input(word, kMaxPlanDocumentBytes, "give a plan's document, or a request"));
  PlanDocument document{word == "-" ? "standard input" : word, std::move(text)};
  PLIMSOLL_ASSIGN(const std::string schema, document_schema(document));
  if (schema == "plimsoll.engine/1") return engine_side(word, option);
  if (!schema.empty()) return DiffInput{std::move(document), {}, false};
  DiffInput out{{document.name, ""}, {}, false};
  const std::size_t first = document.text.find_first_not_of(" \t\r\n");
  if (document.text[first] == '{') {
    auto options = read_options_json(document.text, kOfARequest);
    if (!options) return plimsoll::fail(options.error().code, options.error().message, document.name + "#" + options.error().where);
    out.options = std::move(*options);
    for (OptionValue& value : out.options) value.where = fmt::format("{}#{}", document.name, value.where);
  } else if (word == "-") {
    return fail(ErrorCode::kBadRequest, "a request in YAML comes from a file; standard input takes JSON", document.name);
  } else {
    PLIMSOLL_ASSIGN(out.options, read_pipeline_file(word, kOfARequest));
  }
  return out;
}

class Sides {
public:
  explicit Sides(const CommandLine& line) : line_(line) {}

  // The document of a side, planned where it is a request.
  Result<PlanDocument> document(DiffInput input) {
    if (!input.document.text.empty()) return std::move(input.document);
    PLIMSOLL_ASSIGN(const Plan plan, planned(input));
    return PlanDocument{std::move(input.document.name), plan_to_json(plan, -1)};
  }

private:
  // What both have from --pipeline, then the side's own options, then those of the command line, which win.
  Result<Plan> planned(const DiffInput& input) {
    std::string model, draft;
    PlanRequest request;
    for (const OptionValue& value : line_.pipeline_options()) PLIMSOLL_TRY(set_option(request, value));
    for (const OptionValue& value : input.options) {
      if (value.name == "model") model = value.value;
      else if (value.name == "draft") draft = value.value;
      else if (std::none_of(kOfARequest.begin(), kOfARequest.end(), [&](const OptionInfo& info) { return info.name == value.name; }))
        PLIMSOLL_TRY(set_option(request, value));
    }
    for (const OptionValue& value : line_.line_options()) PLIMSOLL_TRY(set_option(request, value));
    if (!line_.model().empty()) model = line_.model();
    if (!line_.draft().empty()) draft = line_.draft();
    if (model.empty())
      return plimsoll::fail(ErrorCode::kBadRequest, fmt::format("no model for {}; give --model, or a key 'model'", input.document.name),
                            "--model");
    request.advise = false;
    PLIMSOLL_TRY(create_context());
    if (!draft.empty()) {
      PLIMSOLL_ASSIGN(request.draft, context_->load(draft));
    }
    PLIMSOLL_ASSIGN(const Model loaded, context_->load(model));
    auto plan = context_->plan(loaded, request);
    if (!plan) plan.error().where = fmt::format("{}: {}", input.document.name, plan.error().where);
    return plan;
  }
  Result<void> create_context() {
    if (context_) return {};
    PLIMSOLL_ASSIGN(context_, line_.context());
    return {};
  }

  const CommandLine& line_;
  std::optional<Context> context_;
};

Result<PlanDiff> diff_of(const CommandLine& line, const std::string& a, const std::string& b) {
  PLIMSOLL_ASSIGN(DiffInput from, read_side(a, "A"));
  PLIMSOLL_ASSIGN(DiffInput to, read_side(b, "B"));
  const std::vector<OptionValue> given = line.line_options();
  const bool plans = !from.document.text.empty() && !to.document.text.empty();
  if (plans && (!line.given_options().empty() || !line.model().empty() || !line.draft().empty()))
    return plimsoll::fail(ErrorCode::kBadRequest,
                          "both are plans that were made; options are for requests and engines, which are planned here", "command line");
  if ((from.is_engine || to.is_engine) &&
      std::any_of(given.begin(), given.end(), [](const OptionValue& value) { return value.name == "engine"; }))
    return plimsoll::fail(ErrorCode::kBadRequest, "would stand for both; A and B name the engines here", "--engine");
  Sides sides(line);
  PLIMSOLL_ASSIGN(const PlanDocument before, sides.document(std::move(from)));
  PLIMSOLL_ASSIGN(const PlanDocument after, sides.document(std::move(to)));
  return diff_documents(before, after);
}

} // namespace

int run_diff(const Arguments& arguments) {
  CommandLine line(
      "diff", "Two plans, requests or engines: what changed, by cause, in bytes and limits.", "plimsoll.diff/1",
      "Examples:\n"
      "  plimsoll diff old.json new.json\n"
      "  plimsoll diff vllm@0.11.0 vllm@0.26.1 --model Qwen/Qwen3-32B --devices 2xH100\n"
      "  plimsoll diff serve.yaml candidate.yaml --format markdown\n"
      "  plimsoll diff plan.json vllm --model Qwen/Qwen3-32B --devices 2xH100 --format json\n"
      "A and B are each a plan as plan --format json or yaml writes it, a request (a pipeline file, or JSON of the same keys), or\n"
      "an engine, NAME[@VERSION]. Requests and engines are planned with the options given here, which win over a file's;\n"
      "what --pipeline says is what both begin with. An engine may be a profile's file too.\n"
      "Causes add up, to the byte, to what the KV cache gained or lost over all devices.\n"
      "Exit codes: 0 the verdict is as good as it was, 1 it got worse, 2 wrong usage or input, 3 a plugin failed, 4 internal.");
  std::string a, b;
  line.app().add_option("A", a, "from: a plan's document, a request's file, or an engine; - for standard input")->type_name("");
  line.app().add_option("B", b, "to: the same")->type_name("");
  line.add_models();
  line.add_request_options();
  line.add_context_options();
  line.allow_markdown();
  if (const auto code = line.parse(arguments)) return *code;
  if (a.empty() || b.empty()) return line.fail({ErrorCode::kBadRequest, "two are compared; give plans, requests or engines", "A B"});
  if (a == "-" && b == "-") return line.fail({ErrorCode::kBadRequest, "standard input is one document; name a file for the other", "A B"});
  const auto diff = diff_of(line, a, b);
  if (!diff) return line.fail(diff.error());
  const Output& output = line.output();
  const int code = diff->worse() ? kExitDoesNotFit : kExitFits;
  if (line.markdown()) return output.write(diff_markdown(*diff), code);
  if (output.format == Format::kTable) return output.write(diff_report(*diff, output.style(), output.quiet), code);
  return output.write_document(diff_to_json(*diff), code);
}

} // namespace plimsoll::cli
