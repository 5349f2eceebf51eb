(() => {
  const dark = matchMedia('(prefers-color-scheme: dark)'),
    plots = [...document.querySelectorAll('.plot')];
  const kept = Object.fromEntries(
    [...document.querySelectorAll('script[type="application/json"]')].map(script => [
      script.id,
      JSON.parse(script.textContent),
    ]),
  );
  const themed = isDark => {
    const line = isDark ? '#2b3644' : '#dde3ea',
      axis = {gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true, title: {standoff: 12}};
    return {
      layout: {
        font: {color: isDark ? '#e8edf3' : '#0f172a', family: 'system-ui, Arial, sans-serif'},
        paper_bgcolor: 'rgba(0,0,0,0)',
        plot_bgcolor: 'rgba(0,0,0,0)',
        hoverlabel: {bgcolor: isDark ? '#161f29' : '#ffffff'},
        xaxis: axis,
        yaxis: axis,
      },
    };
  };
  const draw = (plot, isDark) => {
    const variants = kept[plot.dataset.figure],
      width = plot.clientWidth,
      isNarrow = width < plot.dataset.narrow;
    const figure =
      variants[isDark ? (isNarrow ? 'narrow_dark' : 'dark') : isNarrow ? 'narrow' : 'wide'] ??
      variants[isNarrow ? 'narrow' : 'wide'] ??
      variants.wide;
    const layout = {...figure.layout, width, template: themed(isDark)};
    Plotly.react(plot, figure.data, layout, {
      displaylogo: false,
      modeBarButtons: [['toImage']],
      toImageButtonOptions: {scale: 2, filename: plot.dataset.figure},
    });
    plot.style.minHeight = `${layout.height}px`;
    plot.style.setProperty('--shape', `${width} / ${layout.height}`);
    // so that paper scales the drawing
    for (const svg of plot.querySelectorAll('.main-svg'))
      svg.setAttribute('viewBox', `0 0 ${width} ${layout.height}`);
  };
  const drawAll = isDark => plots.forEach(plot => draw(plot, isDark));
  let waiting;
  addEventListener('resize', () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      for (const plot of plots) if (plot.clientWidth !== plot.layout.width) draw(plot, dark.matches);
    }, 150);
  });
  dark.addEventListener('change', () => drawAll(dark.matches));
  addEventListener('beforeprint', () => dark.matches && drawAll(false));
  addEventListener('afterprint', () => dark.matches && drawAll(true));
  drawAll(dark.matches);

  for (const atlas of document.querySelectorAll('.atlas')) {
    const image = atlas.querySelector('img'),
      {columns, rows, labels} = kept[atlas.dataset.labels];
    image.onpointermove = image.onclick = event => {
      const box = image.getBoundingClientRect(),
        column = Math.floor(((event.clientX - box.left) / box.width) * columns),
        row = Math.floor(((event.clientY - box.top) / box.height) * rows);
      atlas.querySelector('.tip').textContent = labels[row * columns + column] ?? '';
    };
  }
})();
