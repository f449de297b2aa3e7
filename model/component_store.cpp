#include "model/component_store.h"

#include <ATen/ops/zeros.h>

#include <stdexcept>

#include "model/element_type.h"

namespace rondo {
Precision Precision::parse(const std::string& name) {
  const auto [compute, master] = run_elements(name);
  return {dtype_of(compute), dtype_of(master)};
}

ComponentStore::ComponentStore(const std::vector<ParameterSpec>& parameters,
                               const std::vector<BufferPlan>& plans, Precision precision,
                               at::Device device)
    : precision_(precision), device_(device) {
  for (const BufferPlan& plan : plans) allocate(plan, parameters);
}

void ComponentStore::allocate(const BufferPlan& plan,
                              const std::vector<ParameterSpec>& parameters) {
  FlatBuffer buffer;
  int64_t size = 0;
  for (const Component& component : plan.components) {
    size = round_up(size, component_alignment);
    for (const ParameterSpec& spec : parameters) {
      if (spec.component != component) continue;
      buffer.entries.push_back({spec, size});
      size += spec.count();
    }
  }
  size = round_up(size, component_alignment * plan.shards);
  buffer.values = at::zeros({size}, at::dtype(precision_.compute).device(device_));
  if (plan.trained) {
    buffer.gradients = at::zeros({size}, at::dtype(precision_.master).device(device_));
  }
  for (const auto& [spec, begin] : buffer.entries) {
    const auto view = [&, &spec = spec, &begin = begin](const at::Tensor& whole) {
      return whole.defined() ? whole.narrow(0, begin, spec.count()).view(spec.shape) : whole;
    };
    const Parameter parameter{view(buffer.values), view(buffer.gradients)};
    if (!by_path_.emplace(spec.path(), parameter).second) {
      throw std::logic_error("component " + to_string(spec.component) + " has two owners");
    }
  }
  buffers_.push_back(std::move(buffer));
}

const Parameter& ComponentStore::at(const std::string& path) const {
  const auto found = by_path_.find(path);
  if (found == by_path_.end()) throw std::logic_error("this process does not hold " + path);
  return found->second;
}

const Parameter& ComponentStore::at(const Component& component, const std::string& name) const {
  return at(to_string(component) + "/" + name);
}

Parameter ComponentStore::stacked(const Component& component,
                                  const std::vector<std::string>& names) const {
  const Parameter& first = at(component, names.front());
  std::vector<int64_t> shape = first.value.sizes().vec();  // [out, …]
  const int64_t row = first.value.stride(0);
  shape[0] = 0;
  for (const std::string& name : names) {
    const Parameter& next = at(component, name);
    if (next.value.storage_offset() != first.value.storage_offset() + shape[0] * row) {
      throw std::logic_error(to_string(component) + "/" + name + " does not follow its neighbour");
    }
    shape[0] += next.value.size(0);
  }
  const auto whole = [&](const at::Tensor& view) {
    return view.defined() ? view.as_strided(shape, view.strides(), view.storage_offset()) : view;
  };
  return {whole(first.value), whole(first.gradient)};
}

std::vector<ParameterSpec> ComponentStore::parameters() const {
  std::vector<ParameterSpec> list;
  for (const FlatBuffer& buffer : buffers_) {
    for (const FlatBuffer::Entry& entry : buffer.entries) list.push_back(entry.spec);
  }
  return list;
}

}  // namespace rondo
