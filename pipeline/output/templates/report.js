'use strict';
// The moving parts of report.html: map, swipe, charts. Text only ever enters the page as text, never as HTML.
(function () {
  const data = JSON.parse(document.getElementById('report-data').textContent);
  const byId = (id) => document.getElementById(id);
  const image = (chip) => byId('chip-' + chip.index);
  const escaped = (text) => { const d = document.createElement('div'); d.textContent = text; return d.innerHTML; };
  const element = (tag, className, text) => {
    const e = document.createElement(tag);
    if (className) e.className = className;
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const svgElement = (tag, attributes) => {
    const e = document.createElementNS('http://www.w3.org/2000/svg', tag);
    for (const key in attributes) e.setAttribute(key, attributes[key]);
    return e;
  };

  function popup(title, lines) {
    const box = element('div');
    box.appendChild(element('h4', '', title));
    for (const line of lines) if (line) box.appendChild(element('p', '', line));
    return box;
  }

  // Coordinates are metres east and south of the grid's corner; Leaflet wants [north, east].
  const place = (p) => [-p[1], p[0]];
  const ring = (points) => points.map(place);

  function drawMap() {
    const holder = byId('map');
    if (!holder) return;
    const map = L.map(holder, {crs: L.CRS.Simple, attributionControl: false, zoomSnap: 0.25, minZoom: -8, maxZoom: 6, zoomAnimation: false, fadeAnimation: false});
    const bounds = L.latLngBounds([[-data.height_m, 0], [0, data.width_m]]);
    const images = {}, overlays = {};
    let shown = null;
    for (const chip of data.overviews) {
      const layer = L.imageOverlay(image(chip).src, [[-chip.y1, chip.x0], [-chip.y0, chip.x1]], {alt: image(chip).alt});
      images['Image of ' + escaped(chip.date)] = layer;
      shown = layer;
    }
    if (shown) shown.addTo(map);
    // Leaflet takes labels as HTML. The colour is an SVG attribute: a style attribute would need a weaker content security policy.
    const swatch = (colour, text) => {
      const svg = svgElement('svg', {class: 'swatch', viewBox: '0 0 10 10', width: 12, height: 12, 'aria-hidden': 'true'});
      svg.appendChild(svgElement('rect', {x: 1, y: 1, width: 8, height: 8, rx: 1.5, fill: colour, stroke: '#333', 'stroke-width': 0.6}));
      return svg.outerHTML + escaped(text);
    };
    const group = (items, make) => L.layerGroup(items.map(make));
    // Newest first and widest, so that an older line on the same ground lies visibly on top of it.
    const lines = {};
    data.perimeters.slice().reverse().forEach((p, k) => {
      const i = data.perimeters.length - 1 - k;
      const outline = L.polygon(ring(p.ring), {color: p.colour, weight: i === data.perimeters.length - 1 ? 5 : 2.2, fill: false, dashArray: p.origin === 'given' ? '7 5' : null});
      outline.bindPopup(popup('Perimeter, ' + p.date, p.lines));
      lines[i] = outline;
      if (i === 0 || i === data.perimeters.length - 1) outline.addTo(map);
    });
    data.perimeters.forEach((p, i) => { overlays[swatch(p.colour, 'Perimeter ' + p.date)] = lines[i]; });
    const buildings = data.structures.filter((s) => s.kind === 'building');
    const posts = data.structures.filter((s) => s.kind === 'guard_post');
    const changes = data.changes.filter((c) => c.state !== 'rejected');
    const add = (label, layer, on) => { overlays[label] = layer; if (on) layer.addTo(map); };
    if (data.hidden.length) add(swatch('#555555', 'Not observable'), group(data.hidden, (h) =>
      L.polygon(ring(h.ring), {color: '#555', weight: 1.5, dashArray: '4 4', fillColor: '#555', fillOpacity: 0.25}).bindPopup(popup('Not observable', h.lines))), false);
    if (buildings.length) add(swatch('#56b4e9', 'Buildings (' + buildings.length + ')'), group(buildings, (s) =>
      (s.ring.length ? L.polygon(ring(s.ring), {color: '#56b4e9', weight: 1.5, fillOpacity: 0.15}) : L.circleMarker(place(s.at), {radius: 4, color: '#56b4e9'}))
        .bindPopup(popup('Building ' + s.id, s.lines))), true);
    if (changes.length) add(swatch('#ffd400', 'Changes (' + changes.length + ')'), group(changes, (c) => {
      const style = {color: '#ffd400', weight: 2.2, fillColor: '#ffd400', fillOpacity: c.kind.startsWith('perimeter') ? 0.08 : 0.22, dashArray: c.state === 'confirmed' || c.state === 'ended' ? null : '5 4'};
      return (c.ring.length ? L.polygon(ring(c.ring), style) : L.circleMarker(place(c.at), Object.assign({radius: 9}, style)))
        .bindPopup(popup(c.title, c.lines));
    }), true);
    if (posts.length) add(swatch('#e69f00', 'Guard posts (' + posts.length + ')'), group(posts, (s) =>
      L.circleMarker(place(s.at), {radius: 4, color: '#fff', weight: 1.2, fillColor: '#e69f00', fillOpacity: 1}).bindPopup(popup('Guard post ' + s.id, s.lines))), true);
    const roomy = holder.clientWidth >= 700;
    L.control.layers(images, overlays, {collapsed: !roomy}).addTo(map);
    L.control.scale({imperial: false, maxWidth: 160}).addTo(map);
    const north = L.control({position: 'topleft'});
    north.onAdd = () => {
      const box = element('div', 'north');
      const svg = svgElement('svg', {viewBox: '0 0 24 34', width: 24, height: 34, role: 'img', 'aria-label': 'North arrow'});
      const arrow = svgElement('g', {transform: 'rotate(' + data.north_deg + ' 12 20)'});
      arrow.appendChild(svgElement('path', {d: 'M12 11 L18 31 L12 26 L6 31 Z', fill: '#17202a'}));
      const letter = svgElement('text', {x: 12, y: 9, 'text-anchor': 'middle', 'font-size': 10, 'font-weight': 700, fill: '#17202a'});
      letter.textContent = 'N';
      svg.appendChild(arrow);
      svg.appendChild(letter);
      box.appendChild(svg);
      return box;
    };
    north.addTo(map);
    map.fitBounds(data.focus ? L.latLngBounds([[-data.focus[3], data.focus[0]], [-data.focus[1], data.focus[2]]]) : bounds,
      {paddingTopLeft: [roomy ? 40 : 0, 0], paddingBottomRight: [roomy ? 215 : 0, 0]});
    map.setMaxBounds(bounds.pad(0.6));
    map.on('mousemove', (event) => {
      const u = event.latlng.lng / data.width_m, v = -event.latlng.lat / data.height_m, c = data.corners;
      const at = (k) => (1 - v) * ((1 - u) * c[0][k] + u * c[1][k]) + v * ((1 - u) * c[3][k] + u * c[2][k]);
      byId('map-position').textContent = at(1).toFixed(6) + ', ' + at(0).toFixed(6) + ' (latitude, longitude).';
    });
  }

  function swipe() {
    const box = byId('swipe');
    if (!box || data.overviews.length < 2) return;
    const before = byId('swipe-before'), after = byId('swipe-after'), range = byId('swipe-range'), lines = byId('swipe-lines');
    data.overviews.forEach((chip, i) => {
      for (const select of [before, after]) {
        const option = element('option', '', chip.date + (chip.sensor ? ' · ' + chip.sensor : ''));
        option.value = i;
        select.appendChild(option);
      }
    });
    before.value = data.swipe[0];
    after.value = data.swipe[1];
    function side(chip) {
      const part = element('div', 'over');
      const picture = element('img');
      picture.src = image(chip).src;
      picture.alt = image(chip).alt;
      part.appendChild(picture);
      const perimeter = data.perimeters.find((p) => p.scene === chip.scene);
      if (perimeter && lines.checked) {
        const svg = svgElement('svg', {viewBox: [chip.x0, chip.y0, chip.x1 - chip.x0, chip.y1 - chip.y0].join(' '), preserveAspectRatio: 'none', 'aria-hidden': 'true'});
        const points = perimeter.ring.map((p) => p.join(',')).join(' ');
        svg.appendChild(svgElement('polygon', {points: points, class: 'casing'}));
        svg.appendChild(svgElement('polygon', {points: points, class: 'perimeter'}));
        part.appendChild(svg);
      }
      return part;
    }
    let top = null, edge = null;
    function cut() {
      top.style.clipPath = 'inset(0 ' + (100 - range.value) + '% 0 0)';
      edge.style.left = range.value + '%';
      range.setAttribute('aria-valuetext', range.value + ' % earlier image');
    }
    function build() {
      const left = data.overviews[before.value], right = data.overviews[after.value];
      box.textContent = '';
      const base = side(right);
      base.className = '';
      box.appendChild(base);
      top = side(left);
      box.appendChild(top);
      edge = element('div', 'edge');
      box.appendChild(edge);
      box.appendChild(element('span', 'tag left', left.date));
      box.appendChild(element('span', 'tag right', right.date));
      cut();
    }
    for (const control of [before, after, lines]) control.addEventListener('change', build);
    range.addEventListener('input', cut);
    box.addEventListener('pointermove', (event) => {
      if (event.pointerType === 'mouse' && event.buttons === 0) return;
      const r = box.getBoundingClientRect();
      range.value = Math.round(100 * (event.clientX - r.left) / r.width);
      cut();
    });
    box.addEventListener('pointerdown', (event) => {
      const r = box.getBoundingClientRect();
      range.value = Math.round(100 * (event.clientX - r.left) / r.width);
      cut();
    });
    box.addEventListener('dragstart', (event) => event.preventDefault());
    build();
  }

  // Intervals as whiskers: Chart.js has none of its own.
  const whiskers = {
    id: 'whiskers',
    afterDatasetsDraw(chart) {
      const c = chart.ctx, x = chart.scales.x, y = chart.scales.y;
      c.save();
      chart.data.datasets.forEach((set) => {
        c.strokeStyle = set.borderColor;
        c.lineWidth = 1.4;
        for (const p of set.data) {
          if (p.low === null || p.high === null) continue;
          const px = x.getPixelForValue(p.x), low = y.getPixelForValue(p.low), high = y.getPixelForValue(p.high);
          c.beginPath();
          c.moveTo(px, low);
          c.lineTo(px, high);
          c.moveTo(px - 5, low);
          c.lineTo(px + 5, low);
          c.moveTo(px - 5, high);
          c.lineTo(px + 5, high);
          c.stroke();
        }
      });
      c.restore();
    }
  };
  function chart(id, points, colour, digits) {
    const canvas = byId(id);
    if (!points.length) { canvas.closest('figure').hidden = true; return; }
    const xs = points.map((p) => p.x), first = Math.min(...xs), last = Math.max(...xs);
    const pad = Math.max(0.04 * (last - first), 0.05);
    const span = last - first;
    // Ticks on whole years, or on months when the series is short.
    const step = span >= 3 ? Math.max(1, Math.ceil(span / 7)) : span > 0.9 ? 0.25 : 1 / 12;
    const ticks = [];
    for (let k = Math.ceil((first - pad) / step); k * step <= last + pad; k++) ticks.push({value: k * step});
    const label = (value) => {
      if (span >= 3) return String(Math.round(value));
      const month = Math.round(value * 12);
      return Math.floor(month / 12) + '-' + String(month % 12 + 1).padStart(2, '0');
    };
    new Chart(canvas, {
      type: 'line',
      data: {datasets: [{data: points, borderColor: colour, backgroundColor: colour, borderWidth: 2, pointRadius: 4, pointHoverRadius: 6}]},
      options: {
        animation: false, responsive: true, maintainAspectRatio: false,
        plugins: {
          legend: {display: false},
          tooltip: {displayColors: false, callbacks: {
            title: (items) => items[0].raw.date,
            label: (item) => item.raw.y.toFixed(digits) + (item.raw.low === null ? '' : ' (' + item.raw.low.toFixed(digits) + '–' + item.raw.high.toFixed(digits) + ')')
          }}
        },
        scales: {
          x: {type: 'linear', min: first - pad, max: last + pad, grid: {display: false}, afterBuildTicks: (axis) => { axis.ticks = ticks; }, ticks: {color: '#55606d', callback: label, autoSkip: true, maxRotation: 0}},
          y: {beginAtZero: true, suggestedMax: Math.max(...points.map((p) => p.high === null ? p.y : p.high)) * 1.08, ticks: {color: '#55606d', maxTicksLimit: 6}, grid: {color: '#e8ebef'}}
        }
      },
      plugins: [whiskers]
    });
  }

  drawMap();
  swipe();
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  chart('chart-area', data.series.area, '#a3204a', 3);
  chart('chart-length', data.series.length, '#5b3fa0', 3);
  chart('chart-posts', data.series.posts, '#b87900', 0);
  chart('chart-buildings', data.series.buildings, '#00699e', 0);
  document.documentElement.dataset.ready = 'yes';
})();
