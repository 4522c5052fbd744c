#include "worker/worker.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <memory>
#include <optional>
#include <unistd.h>
#include <unordered_map>

#include "plugin/abi_text.hpp"
#include "plugin/calls.hpp"
#include "plugin/declaration_gate.hpp"
#include "plugin/planner_tree.hpp"
#include "worker/abi_wire.hpp"
#include "worker/protocol.hpp"

namespace plimsoll {
namespace {

// A text that a plugin gives, cut where it is longer than any right one: the host then sees that it is too long.
plimsoll_str cut(plimsoll_str text, std::uint64_t most) {
  if (text.data == nullptr) return {};
  return {text.data, std::min<std::uint64_t>(text.size, most + 1)};
}

// Writes down what planners emit of the kind that was asked for, with who emits it.
class Recorder : public Collector {
public:
  enum class Kind { kWeights, kGroups, kEntries, kItems };
  Recorder(Kind kind, WireWriter& out, const std::vector<std::unique_ptr<PlannerNode>>& nodes, std::uint32_t n_ranks)
      : kind_(kind), out_(out), n_ranks_(n_ranks) {
    for (const auto& node : nodes) numbers_.emplace(node.get(), static_cast<std::uint32_t>(numbers_.size()));
  }
  Result<void> on_weight(const PlannerNode& node, const plimsoll_weight& weight) override {
    if (kind_ != Kind::kWeights) return Collector::on_weight(node, weight);
    PLIMSOLL_TRY(gate_.check(node, weight));
    return keep(node, weight);
  }
  Result<void> on_kv(const PlannerNode& node, const plimsoll_kv_group& group) override {
    if (kind_ != Kind::kGroups) return Collector::on_kv(node, group);
    PLIMSOLL_TRY(gate_.check(node, group));
    return keep(node, group);
  }
  Result<void> on_entry(const PlannerNode& node, const plimsoll_entry& entry) override {
    if (kind_ != Kind::kEntries) return Collector::on_entry(node, entry);
    PLIMSOLL_TRY(gate_.check(node, entry));
    return keep(node, entry);
  }
  Result<void> on_item(const PlannerNode& node, const plimsoll_item& item) override {
    if (kind_ != Kind::kItems) return Collector::on_item(node, item);
    PLIMSOLL_TRY(gate_.check(node, item, n_ranks_));
    plimsoll_item kept = item;
    kept.formula = cut(item.formula, PLIMSOLL_MAX_FORMULA_BYTES);
    if (item.lifetime != PLIMSOLL_TRANSIENT) kept.phase = {}; // it means nothing there
    return keep(node, kept);
  }

private:
  template <class What>
  Result<void> keep(const PlannerNode& node, const What& what) {
    out_(numbers_.at(&node));
    write_struct(out_, what);
    if (out_.bytes().size() < kMaxMessageBytes / 4) return {};
    return fail(ErrorCode::kPluginFailed, fmt::format("planner '{}' declares more than {} bytes", node.id(), kMaxMessageBytes / 4));
  }
  Kind kind_;
  WireWriter& out_;
  std::uint32_t n_ranks_;
  DeclarationGate gate_;
  std::unordered_map<const PlannerNode*, std::uint32_t> numbers_;
};

class Worker {
public:
  explicit Worker(ChildSide& side) : side_(side) { Speaking::note_in(side.note()); }

  [[noreturn]] void serve() {
    for (;;) {
      const std::string asked = side_.receive();
      WireReader reader(asked);
      const auto what = static_cast<wire::Ask>(reader.number<std::uint8_t>());
      if (what == wire::Ask::kDescribe) {
        describe(reader);
        continue;
      }
      Result<WireWriter> answered = answer(what, reader);
      side_.send(answered ? answered->bytes() : failed(answered.error()));
      if (spoiled_) ::_exit(ChildSide::kDisturbed);
    }
  }

private:
  Result<WireWriter> answer(wire::Ask what, WireReader& reader) {
    switch (what) {
    case wire::Ask::kMake: return make(reader);
    case wire::Ask::kPrice: return price(reader);
    case wire::Ask::kOpen: return open(reader);
    default: ::_exit(ChildSide::kChannelLost);
    }
  }

  static std::string failed(const Error& error) {
    WireWriter out = wire::message(wire::Answer::kFailed);
    wire::write_error(out, error);
    return std::move(out.bytes());
  }
  // What a plugin did to the process in its last call is its fault, whatever it answered; nothing more is asked in this process then.
  Result<void> undisturbed() {
    if (!spoiled_)
      if (const std::string wrong = side_.disturbed(); !wrong.empty())
        spoiled_ = Error{
            ErrorCode::kPluginFailed,
            fmt::format("plugin {} ({}) {} in {}, which rule R-14 forbids", side_.note().who, side_.note().where, wrong, side_.note().what),
            {}};
    if (spoiled_) return tl::unexpected(*spoiled_);
    return {};
  }

  void discover(WireReader& reader) {
    RegistryOptions options;
    for (std::vector<std::string>* list : {&options.paths, &options.prefer})
      for (auto n = reader.number<std::uint64_t>(); n > 0; --n) reader(list->emplace_back());
    options.trust = static_cast<Trust>(reader.number<std::uint8_t>());
    registry_.emplace(std::move(options), [this](LogLevel level, std::string_view line) {
      if (!discovered_) return; // the host has found the same and said so
      WireWriter out = wire::message(wire::Answer::kLog);
      out(static_cast<std::uint8_t>(level)), out(line);
      side_.send(out.bytes());
    });
    discovered_ = true;
  }

  Result<WireWriter> open(WireReader& reader) {
    discover(reader);
    std::string folder;
    reader(folder);
    Plugin* const plugin = registry_->plugin_in(folder);
    if (plugin == nullptr) return fail(ErrorCode::kPluginFailed, "is not there", folder);
    PLIMSOLL_TRY(registry_->load_all(*plugin));
    PLIMSOLL_TRY(undisturbed());
    return wire::message(wire::Answer::kDone);
  }

  std::vector<StoredTensor> ask_for_tensors() {
    side_.send(wire::message(wire::Answer::kTensors).bytes());
    const std::string told = side_.receive();
    WireReader reader(told);
    if (static_cast<wire::Ask>(reader.number<std::uint8_t>()) != wire::Ask::kTensors) ::_exit(ChildSide::kChannelLost);
    std::vector<StoredTensor> out(reader.count(sizeof(std::uint64_t)));
    for (StoredTensor& tensor : out) {
      reader(tensor.name), reader(tensor.dtype), reader(tensor.stored_bytes);
      tensor.dims.resize(reader.count(sizeof(std::uint64_t)));
      for (std::uint64_t& extent : tensor.dims) reader(extent);
    }
    return out;
  }

  Result<WireWriter> make(WireReader& reader) {
    discover(reader);
    std::string where, config;
    reader(where), reader(config);
    PLIMSOLL_ASSIGN(Json parsed, parse_json(std::move(config), where, ErrorCode::kBadConfig));
    auto tree =
        PlannerTree::create(*registry_, std::make_shared<const Json>(std::move(parsed)), where, [this] { return ask_for_tensors(); });
    PLIMSOLL_TRY(undisturbed());
    PLIMSOLL_ASSIGN(tree_, std::move(tree));
    WireWriter out = wire::message(wire::Answer::kDone);
    write_tree(out);
    record(out, Recorder::Kind::kWeights, [this](Recorder& to) { return tree_->weights(to); });
    record(out, Recorder::Kind::kGroups, [this](Recorder& to) { return tree_->kv(to); });
    Result<plimsoll_facts> facts = tl::unexpected(spoiled_.value_or(Error{}));
    if (!spoiled_) facts = tree_->facts();
    if (Result<void> good = undisturbed(); !good) facts = tl::unexpected(std::move(good.error()));
    out(static_cast<std::uint8_t>(facts.has_value()));
    if (facts) write_struct(out, *facts);
    else wire::write_error(out, facts.error());
    record(out, Recorder::Kind::kEntries, [this](Recorder& to) { return tree_->entries(to); });
    return out;
  }

  void write_tree(WireWriter& out) const {
    out(tree_->architecture());
    out(static_cast<std::uint64_t>(tree_->assumed_classes().size()));
    for (const AssumedClass& assumed : tree_->assumed_classes())
      out(assumed.architecture), out(assumed.model_type), out(assumed.family), out(assumed.where);
    std::unordered_map<const plimsoll_view*, std::uint32_t> numbers;
    out(static_cast<std::uint64_t>(tree_->views().size()));
    for (const plimsoll_view& view : tree_->views()) {
      const auto parent = numbers.find(view.parent);
      numbers.emplace(&view, static_cast<std::uint32_t>(numbers.size()));
      out(parent == numbers.end() ? UINT32_MAX : parent->second), out(view.pointer);
      out(static_cast<std::uint8_t>(view.as.has_value())), out(view.as ? view.as->get_ref<const std::string&>() : std::string());
      out(static_cast<std::uint64_t>(view.renames.size()));
      for (const auto& [from, to] : view.renames) out(from), out(to);
    }
    out(static_cast<std::uint64_t>(tree_->nodes().size()));
    for (const auto& node : tree_->nodes()) {
      const Plugin& plugin = *node->family.plugin;
      const auto folder_of = [](const Plugin* other) { return other == nullptr ? std::string() : other->manifest.directory; };
      out(plugin.manifest.directory), out(static_cast<std::uint64_t>(plugin.library.device)),
          out(static_cast<std::uint64_t>(plugin.library.inode));
      out(plugin.library.file_bytes), out(plugin.library.changed_seconds), out(plugin.library.changed_nanoseconds);
      out(node->id()), out(node->family.signal_policy), out(folder_of(node->family.replaced)), out(folder_of(node->family.aliased_by));
      out(node->family.as), out(numbers.at(node->view)), out(node->place);
      for (const bool has : {node->has_facts, node->has_signal_buffers, node->has_max_batch}) out(static_cast<std::uint8_t>(has));
    }
    const auto is_root = [&](const auto& node) { return node.get() == &tree_->root(); };
    const auto root = std::find_if(tree_->nodes().begin(), tree_->nodes().end(), is_root) - tree_->nodes().begin();
    out(static_cast<std::uint32_t>(root)), out(static_cast<std::uint8_t>(tree_->has_pipeline()));
  }

  // What one call emitted, or why it failed.
  template <class Call>
  void record(WireWriter& out, Recorder::Kind kind, const Call& call) {
    WireWriter emitted;
    Recorder recorder(kind, emitted, tree_->nodes(), n_ranks_);
    Result<void> result = undisturbed();
    if (result) result = call(recorder);
    if (Result<void> good = undisturbed(); !good) result = std::move(good);
    out(static_cast<std::uint8_t>(result.has_value()));
    if (result) out(emitted.bytes());
    else wire::write_error(out, result.error());
  }

  Result<WireWriter> price(WireReader& reader) {
    const auto what = static_cast<wire::Price>(reader.number<std::uint8_t>());
    Held held;
    auto request = read_struct<plimsoll_request>(reader, held);
    std::string engine_text;
    reader(engine_text);
    if (engine_text != engine_text_) {
      PLIMSOLL_ASSIGN(engine_, parse_json(engine_text, "engine", ErrorCode::kBadConfig));
      engine_text_ = std::move(engine_text);
    }
    plimsoll_view engine;
    engine.node = &engine_;
    request.engine = &engine;
    n_ranks_ = request.n_ranks;
    WireWriter out = wire::message(wire::Answer::kDone);
    if (what == wire::Price::kMaxBatch) {
      const Result<std::uint64_t> asked = tree_->max_batch(request);
      PLIMSOLL_TRY(undisturbed());
      PLIMSOLL_ASSIGN(const std::uint64_t batch, asked);
      out(batch);
      return out;
    }
    record(out, Recorder::Kind::kItems, [&](Recorder& to) {
      return what == wire::Price::kActivations ? tree_->activations(request, to) : tree_->signal_buffers(request, to);
    });
    return out;
  }

  // ---- the forward pass ----

  // One part, and the parts that it asks for: sends steps, and how it ended.
  void describe(WireReader& reader) {
    PassPart part{};
    reader(part.aspects), reader(part.layer), reader(part.in), reader(part.out);
    plimsoll_pipeline_sink sink{
        PLIMSOLL_SIZE_THROUGH(plimsoll_pipeline_sink, shared), 0, nullptr, on_value, on_rope, on_op, on_part, on_shared};
    std::optional<Error> fault;
    const CallScope scope(this, tree_->root(), &fault);
    sink.ctx = scope.ticket();
    plimsoll_error err = blank_error();
    plimsoll_status status = tree_->describe(part, sink, &err);
    flush();
    std::string message = message_of(err);
    if (const Result<void> good = undisturbed(); !good) {
      status = PLIMSOLL_E_ABI;
      message = good.error().message;
    } else if (fault) {
      status = PLIMSOLL_E_ABI;
      message = fault->message;
    }
    WireWriter out = wire::message(wire::Answer::kDone);
    out(status), out(where_of(err)), out(message);
    side_.send(out.bytes());
  }

  WireWriter& step(wire::Step kind) {
    if (!steps_) steps_ = wire::message(wire::Answer::kSteps);
    (*steps_)(static_cast<std::uint8_t>(kind));
    return *steps_;
  }
  void flush() {
    if (!steps_) return;
    side_.send(steps_->bytes());
    steps_.reset();
  }
  // Sends what is written down and waits until the host has taken it; it may ask for a part first.
  plimsoll_status stepped(std::uint32_t* index) {
    flush();
    for (;;) {
      const std::string told = side_.receive();
      WireReader reader(told);
      const auto what = static_cast<wire::Ask>(reader.number<std::uint8_t>());
      if (what == wire::Ask::kDescribe) {
        describe(reader);
        continue;
      }
      if (what != wire::Ask::kStepped) ::_exit(ChildSide::kChannelLost);
      const auto status = reader.number<plimsoll_status>();
      const auto given = reader.number<std::uint32_t>();
      if (index != nullptr && status == PLIMSOLL_OK) *index = given;
      return status;
    }
  }

  // `what` is nullptr where it is not there, or not whole: the host says so.
  template <class What>
  plimsoll_status hand_over(wire::Step kind, const What* what, std::uint32_t* index) {
    return hand_over(step(kind), what, index);
  }
  template <class What>
  plimsoll_status hand_over(WireWriter& out, const What* what, std::uint32_t* index) {
    out(static_cast<std::uint8_t>(what != nullptr));
    if (what != nullptr) write_struct(out, *what);
    return stepped(index);
  }

  static Worker* of(void* ctx) noexcept { return static_cast<Worker*>(CallScope::sink_of(ctx)); }
  static plimsoll_status on_value(void* ctx, const plimsoll_value* value, std::uint32_t* index) noexcept {
    Worker* const self = of(ctx);
    if (self == nullptr) return PLIMSOLL_E_ABI;
    return self->hand_over(wire::Step::kValue, is_whole(value, index) ? value : nullptr, index);
  }
  static plimsoll_status on_shared(void* ctx, const plimsoll_value* value, std::uint32_t key, std::uint32_t* index) noexcept {
    Worker* const self = of(ctx);
    if (self == nullptr) return PLIMSOLL_E_ABI;
    WireWriter& out = self->step(wire::Step::kShared);
    out(key);
    return self->hand_over(out, is_whole(value, index) ? value : nullptr, index);
  }
  static bool is_whole(const plimsoll_value* value, const std::uint32_t* index) noexcept {
    return value != nullptr && index != nullptr && value->struct_size >= whole_size<plimsoll_value>();
  }
  static plimsoll_status on_rope(void* ctx, const plimsoll_rope_table* table, std::uint32_t* index) noexcept {
    Worker* const self = of(ctx);
    if (self == nullptr) return PLIMSOLL_E_ABI;
    const bool whole = table != nullptr && index != nullptr && table->struct_size >= whole_size<plimsoll_rope_table>() &&
                       table->n <= PLIMSOLL_MAX_FREQUENCIES && table->inverse_frequencies != nullptr;
    return self->hand_over(wire::Step::kRope, whole ? table : nullptr, index);
  }
  static plimsoll_status on_op(void* ctx, const plimsoll_op* op) noexcept {
    Worker* const self = of(ctx);
    if (self == nullptr) return PLIMSOLL_E_ABI;
    WireWriter& out = self->step(wire::Step::kOp);
    const bool whole = op != nullptr && op->struct_size >= whole_size<plimsoll_op>();
    out(static_cast<std::uint8_t>(whole));
    if (!whole) return self->stepped(nullptr);
    plimsoll_op kept = *op;
    for (std::uint32_t i = 0; i < PLIMSOLL_OP_MAX_WEIGHTS; ++i)
      kept.weight[i] = i < op->n_weights ? cut(op->weight[i], PLIMSOLL_MAX_LABEL_BYTES) : plimsoll_str{};
    kept.kv_group = cut(op->kv_group, PLIMSOLL_MAX_LABEL_BYTES);
    write_struct(out, kept);
    // Ops that go well want no answer: several travel together.
    if (out.bytes().size() < kMaxBatch) return PLIMSOLL_OK;
    self->flush();
    return PLIMSOLL_OK;
  }
  static plimsoll_status on_part(void* ctx, std::uint32_t aspects, std::uint32_t layer, std::uint32_t in, std::uint32_t out) noexcept {
    Worker* const self = of(ctx);
    if (self == nullptr) return PLIMSOLL_E_ABI;
    WireWriter& to = self->step(wire::Step::kPart);
    to(aspects), to(layer), to(in), to(out);
    return self->stepped(nullptr);
  }

  static constexpr std::size_t kMaxBatch = 1U << 16U;
  ChildSide& side_;
  bool discovered_ = false;
  std::optional<Error> spoiled_;
  std::optional<Registry> registry_;
  std::unique_ptr<PlannerTree> tree_;
  std::uint32_t n_ranks_ = 1;
  std::string engine_text_;
  Json engine_;
  std::optional<WireWriter> steps_;
};

} // namespace

void serve_plugins(ChildSide& side) { Worker(side).serve(); }

} // namespace plimsoll
