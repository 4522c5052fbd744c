// See help_topics.hpp. tests/cli/help_test.cpp holds every key that stands here to what the readers take.
#include "help_topics.hpp"

#include <array>

namespace plimsoll::cli {
namespace {

constexpr std::string_view kDevicesFile =
    R"(--devices FILE.yaml (or .json): a list of devices, for mixed machines and for orchestrators that hand out budgets.

  devices:
    - 4xH100                                    # as on the command line
    - {name: A100-40GB, count: 4, free_bytes: 38GiB}
    - {name: edge, total_bytes: 24GiB, kind: unified, wired_limit_bytes: 18GiB}

Keys of an entry; sizes are bytes, or numbers with a unit such as 80GiB:
  name                a card of the catalogue (`plimsoll devices`), or a label of your own
  count               so many of it; default 1
  total_bytes         what the driver reports; needed where the name is no card, and outranks the card's
  free_bytes          what a process finds free: the budget that an orchestrator gives; default: the card's, or all
  kind                gpu, or unified: memory that the host uses too
  wired_limit_bytes   unified memory: what the system lets the accelerator hold
  max_allocation_bytes  the largest single allocation, where the runtime has such a limit
  compute_capability  NVIDIA's, 9.0 or 90; engines choose by it
  vendor, arch        nvidia, amd, ...; hopper, gfx942, ...: of cards that the catalogue has not
  node                which machine, a text or a number: of all devices or of none; those of a node stand one after the other,
                      and every node holds the same number
The host's own memory is no device: give it as --host SIZE.
)";

constexpr std::string_view kEngineProfile =
    R"(--engine FILE.yaml: how an engine budgets, pages and reserves, as data. Start from one that ships with the program, in share/plimsoll/engines,
or with what `plimsoll compare LOG --save-profile FILE` measured; the README beside them has every key. One value at a time
is changed with --set engine.KEY=VALUE, where KEY has a dot for each level: --set engine.kv.page_tokens=64.

  schema: plimsoll.engine/1
  name: mine
  version: "1.0"
  budget: {of: free, utilization: 0.9}
  batch: {max_batch_input_tokens: 8192, default_max_batch_size: 256}
  kv: {layout: unified, page_tokens: 16}
  overheads:
    - {label: context, terms: [{mib: 600}]}

Sections:
  budget        the share of a device's memory that is used, of all of it or of what is free, and what that covers
  batch         the engine's defaults: tokens of a pass, requests at once, the length
  kv            how KV memory is cut: layout, page_tokens, windows, states, prefix caching
  activations   bytes of a forward pass, as sums of products of the model's sizes
  overheads     what is there besides: contexts, graphs, communication
  start         what the engine refuses to start with, and its words for that
  choices       words that other values depend on (--enforce-eager is one), aliases: the engine's own names for values
A value may depend on release, card, layout and model: a list of {when: {...}, value: ...}; the first that holds counts.
An unknown key is an error that names the nearest known one and its place.
)";

constexpr std::array<HelpTopic, 2> kTopics{
    {{"devices-file", "the YAML or JSON file that --devices takes", kDevicesFile},
     {"engine-profile", "the YAML file that --engine takes, and the values of --set", kEngineProfile}}};

} // namespace

std::span<const HelpTopic> help_topics() { return kTopics; }

} // namespace plimsoll::cli
