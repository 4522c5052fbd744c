#include "check/subject.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

#include "plugin/agreement.hpp"
#include "plugin/calls.hpp"
#include "plugin/library.hpp"

namespace plimsoll::check {
namespace {

constexpr std::uint64_t kFreeBytes = 80ULL << 30U;

std::string cut(const std::string& text) { return text.size() <= 300 ? text : text.substr(0, 300) + " ..."; }

template <class Call>
Emitted record(const Call& call) {
  Recorder recorder;
  plimsoll_error err = blank_error();
  recorder.emitted.status = call(recorder.sink(), &err);
  return std::move(recorder.emitted);
}

void add(std::vector<std::string>& out, const char* what, const Emitted& emitted) {
  out.push_back(fmt::format("{} answers {}", what, emitted.status));
  for (const EmittedOne& one : emitted.all) out.push_back(one.text);
}

} // namespace

Asked::Asked(const plimsoll_facts& facts, Layout layout, const Json& engine)
    : free_bytes(layout.ranks(), kFreeBytes), used_bytes(layout.ranks(), kFreeBytes / 8) {
  const std::uint32_t n_layers = std::min<std::uint32_t>(facts.n_layers, PLIMSOLL_MAX_LAYERS);
  for (std::uint32_t i = 0; i < n_layers; ++i) stages_.push_back(static_cast<std::uint32_t>(std::uint64_t{i} * layout.pp / n_layers));
  engine_.node = &engine;
  raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_request, engine);
  raw.aspects = PLIMSOLL_ASPECT_ALL;
  raw.n_ranks = layout.ranks();
  raw.tp = layout.tp;
  raw.pp = layout.pp;
  raw.dp = layout.dp;
  raw.ep = layout.ep;
  raw.n_nodes = 1;
  raw.chunked_prefill = 1;
  raw.compute_bits = raw.kv_bits = raw.weight_bits = 16;
  raw.max_length = std::clamp<std::uint64_t>(facts.max_length, 1, 4096);
  raw.max_batch_size = 8;
  raw.max_batch_input_tokens = 2048;
  raw.free_bytes = free_bytes.data();
  raw.used_bytes = used_bytes.data();
  raw.stage_of_layer = stages_.data();
  raw.n_layers = stages_.size();
  raw.engine = &engine_;
}

Result<const plimsoll_plugin*> open_library(const Manifest& manifest, std::string& stage) {
  const std::string path = manifest.directory + "/" + manifest.library;
  stage = "LOAD-01";
  const auto identity = identify_file(path);
  if (!identity) return fail(ErrorCode::kPluginFailed, "is not there", path);
  auto opened = open_plugin_library(path, *identity);
  if (!opened) {
    const std::string& said = opened.error().message;
    const bool loaded = !said.starts_with("cannot be loaded") && !said.starts_with("does not export") && !said.starts_with("exports ");
    if (loaded) stage = "ABI-04";
    return opened;
  }
  stage = "ABI-03";
  PLIMSOLL_TRY(check_agreement(manifest, **opened, path));
  return opened;
}

Result<std::unique_ptr<Subject>> Subject::open(const std::string& directory, const std::string& catalogue,
                                               std::function<void(std::string_view, std::string_view)> note) {
  std::unique_ptr<Subject> subject(new Subject);
  PLIMSOLL_ASSIGN(const Manifest manifest, read_manifest(directory));
  const std::vector<std::string> prefer = manifest.replaces.empty() ? std::vector<std::string>{} : std::vector{manifest.id};
  subject->registry_ =
      std::make_shared<const Registry>(RegistryOptions{.paths = {directory}, .trust = Trust::kOpen, .prefer = prefer}, LogCallback());
  std::error_code failed;
  const std::string real = std::filesystem::canonical(directory, failed).string();
  for (const auto& plugin : subject->registry_->plugins())
    if (plugin->manifest.directory == real) subject->plugin_ = plugin.get();
  if (subject->plugin_ == nullptr || !subject->plugin_->available())
    return fail(ErrorCode::kPluginFailed, subject->plugin_ == nullptr ? "is not found" : subject->plugin_->reason, directory);
  std::string stage;
  PLIMSOLL_ASSIGN(subject->descriptor_, open_library(subject->plugin_->manifest, stage));
  subject->shim_ = std::make_unique<Shim>(*subject->descriptor_, [note, id = manifest.id](std::string_view call) { note(id, call); });
  std::call_once(subject->plugin_->once, [&] { subject->plugin_->descriptor = &subject->shim_->outside(); });
  plimsoll_error err = blank_error();
  if (const plimsoll_status status = subject->shim_->init(subject->registry_->host(), &err); status != PLIMSOLL_OK)
    return fail(ErrorCode::kPluginFailed, fmt::format("init answered {}: {}", status, message_of(err)), directory);
  PLIMSOLL_ASSIGN(ProfileSource engine, ProfileSource::load(catalogue, "max", {}));
  subject->engine_ = std::make_unique<ProfileSource>(std::move(engine));
  PLIMSOLL_ASSIGN(subject->profile_, subject->engine_->settle({}));
  return subject;
}

Result<std::unique_ptr<PlannerTree>> Subject::tree(const Json& config) const {
  PLIMSOLL_ASSIGN(auto made, PlannerTree::create(*registry_, std::make_shared<const Json>(config), "config.json"));
  if (const Plugin* planner = made->root().family.plugin; planner != plugin_)
    return fail(ErrorCode::kUnsupportedArchitecture, fmt::format("is planned by {}, not by {}", planner->manifest.id, plugin_->manifest.id),
                "config.json");
  return made;
}
Result<std::shared_ptr<Model::Data>> Subject::model(const Json& config) const {
  return load_model(registry_, config, nullptr, "config.json", "config.json");
}

plimsoll_facts Subject::facts(const Planners& tree) const {
  const auto facts = tree.facts();
  return facts ? *facts : plimsoll_facts{};
}

Emitted Subject::weights(const Planners& tree, std::uint32_t aspects) const {
  return record([&](auto* out, auto* err) { return call_weights(tree.root(), aspects, out, err); });
}
Emitted Subject::kv(const Planners& tree, std::uint32_t aspects) const {
  return record([&](auto* out, auto* err) { return call_kv(tree.root(), aspects, out, err); });
}
Emitted Subject::entries(const Planners& tree, std::uint32_t aspects) const {
  return record([&](auto* out, auto* err) { return call_entries(tree.root(), aspects, out, err); });
}
Emitted Subject::activations(const Planners& tree, const plimsoll_request& request) const {
  return record([&](auto* out, auto* err) { return call_activations(tree.root(), request, out, err); });
}
Emitted Subject::signal_buffers(const Planners& tree, const plimsoll_request& request) const {
  return record([&](auto* out, auto* err) { return call_signal_buffers(tree.root(), request, out, err); });
}
std::uint64_t Subject::max_batch(const Planners& tree, const plimsoll_request& request) const {
  std::uint64_t out = 0;
  plimsoll_error err = blank_error();
  return call_max_batch(tree.root(), request, &out, &err) == PLIMSOLL_OK ? out : 0;
}

std::vector<std::string> Subject::answers(const Planners& tree) const {
  std::vector<std::string> out;
  add(out, "weights()", weights(tree));
  add(out, "kv()", kv(tree));
  const plimsoll_facts f = facts(tree);
  out.push_back(fmt::format("facts layers {} length {} hidden {} vocabulary {} heads {} {} experts {} {} draft {}", f.n_layers,
                            f.max_length, f.hidden_elements, f.vocab_tokens, f.query_heads, f.kv_heads, f.experts, f.experts_per_token,
                            f.draft_layers));
  add(out, "entries()", entries(tree));
  for (const Layout layout : {Layout{}, Layout{2, 1, 1, 1}, Layout{2, 2, 2, 2}}) {
    Asked asked(f, layout, engine_values());
    asked.raw.explain = layout.pp > 1 ? 1 : 0;
    add(out, "activations()", activations(tree, asked.raw));
    add(out, "signal_buffers()", signal_buffers(tree, asked.raw));
    out.push_back(fmt::format("max_batch() {}", max_batch(tree, asked.raw)));
  }
  return out;
}

std::string first_difference(const std::vector<std::string>& expected, const std::vector<std::string>& found) {
  const auto [a, b] = std::mismatch(expected.begin(), expected.end(), found.begin(), found.end());
  if (a == expected.end() && b == found.end()) return {};
  return fmt::format("'{}' became '{}'", a == expected.end() ? "nothing" : cut(*a), b == found.end() ? "nothing" : cut(*b));
}

} // namespace plimsoll::check
