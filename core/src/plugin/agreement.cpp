#include "plugin/agreement.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace plimsoll {
namespace {

tl::unexpected<Error> differs(const std::string& path, const std::string& what, const std::string& library, const std::string& manifest) {
  return fail(ErrorCode::kPluginFailed,
              fmt::format("{} in the library {}, in its manifest {}; make them the same", what, library, manifest), path);
}

std::string aspects_text(std::uint32_t aspects) {
  const std::string names = fmt::format("[{}]", fmt::join(aspect_names(aspects), ", "));
  const std::uint32_t unknown = aspects & ~static_cast<std::uint32_t>(PLIMSOLL_ASPECT_ALL);
  return unknown == 0 ? names : fmt::format("{} and unknown bits {:#x}", names, unknown);
}

std::string policy_text(std::uint32_t policy) {
  return policy <= PLIMSOLL_SIGNAL_ALWAYS ? std::string(signal_policy_name(policy)) : fmt::format("{}, which is none", policy);
}

Result<void> check_family(const FamilyManifest& manifest, const plimsoll_family& family, const std::string& path) {
  const std::string who = fmt::format("of family '{}' ", manifest.id);
  if (manifest.aspects != family.aspects)
    return differs(path, who + "the aspects are", aspects_text(family.aspects), aspects_text(manifest.aspects));
  if (manifest.signal_policy != family.signal_policy)
    return differs(path, who + "the signal policy is", policy_text(family.signal_policy), policy_text(manifest.signal_policy));
  if (family.signal_sites > PLIMSOLL_MAX_SIGNAL_SITES || family.signal_bytes > PLIMSOLL_MAX_ITEM_BYTES)
    return fail(ErrorCode::kPluginFailed,
                fmt::format("{}there are {} signal sites of {} B; at most {} of {} B are possible", who, family.signal_sites,
                            family.signal_bytes, PLIMSOLL_MAX_SIGNAL_SITES, PLIMSOLL_MAX_ITEM_BYTES),
                path);
  return {};
}

const plimsoll_family* find_family(const plimsoll_plugin& descriptor, const std::string& id) {
  for (std::uint64_t i = 0; i < descriptor.n_families; ++i)
    if (id == descriptor.families[i]->id) return descriptor.families[i];
  return nullptr;
}

} // namespace

Result<void> check_agreement(const Manifest& m, const plimsoll_plugin& descriptor, const std::string& path) {
  if (m.id != descriptor.id || m.version != descriptor.version)
    return fail(ErrorCode::kPluginFailed,
                fmt::format("is {} {}, its manifest says {} {}", descriptor.id, descriptor.version, m.id, m.version), path);
  if (m.abi_minor != descriptor.abi_minor)
    return differs(path, "the ABI's minor is", std::to_string(descriptor.abi_minor), std::to_string(m.abi_minor));
  if (m.min_host_minor != descriptor.abi_minor_min)
    return differs(path, "the oldest host's minor is", std::to_string(descriptor.abi_minor_min), std::to_string(m.min_host_minor));
  for (const FamilyManifest& family : m.families) {
    const plimsoll_family* own = find_family(descriptor, family.id);
    if (own == nullptr)
      return fail(ErrorCode::kPluginFailed, fmt::format("has no family '{}', which its manifest declares", family.id), path);
    PLIMSOLL_TRY(check_family(family, *own, path));
  }
  if (m.families.size() != descriptor.n_families)
    return differs(path, "the number of families is", std::to_string(descriptor.n_families), std::to_string(m.families.size()));
  return {};
}

} // namespace plimsoll
